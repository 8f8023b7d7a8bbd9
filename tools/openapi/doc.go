// Command openapi joins the sources of the API's description into one OpenAPI 3.1 document:
//
//	go run ./tools/openapi
//
// reads internal/httpapi/reference/source/*.yaml in the order of their names and writes
// internal/httpapi/reference/openapi.json, which the binary serves. The sources say what is
// particular to an operation; what all have in common (rate headers, error answers, the
// idempotency key, security) is added here, so that nobody can forget it. Their notation is
// described in source/README.md. The tests of this package hold that the committed document
// is the joined one, and that it keeps the rules of the house.
package main
