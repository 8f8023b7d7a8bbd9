// Package queue fills the queue and looks at who waits for whom: mail for a site that takes
// nothing must not delay another's, and urgent mail must not wait behind bulk.
//
// By default the crowds are small and the bounds wide, so that a busy machine passes;
// POSTROAD_TEST_FULL=1 asks for 200,000 and 100,000 messages and the bounds the project
// promises. The benchmark measures the same.
package queue
