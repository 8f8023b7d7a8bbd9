// Package contract holds the real process against the API's description: every documented
// example works, and twenty thousand generated requests over every operation (valid, nearly
// valid and wild) get nothing but documented answers, never a 5xx.
//
//	POSTROAD_TEST_SEED=7 POSTROAD_TEST_REQUESTS=100000 go test -v -run Fuzz ./test/15-contract
package contract
