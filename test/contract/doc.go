// Package contract holds answers against the API's description: the status, headers and
// body of every answer the tests get must be documented, and nothing else may be in them.
//
// The document leaves room to grow (objects are open, sets of words may get more); here that
// room is closed: a field, a status or a word that the document does not know fails the
// test that met it. The mend is nearly always a line in internal/httpapi/reference/source
// and `go run ./tools/openapi`.
package contract
