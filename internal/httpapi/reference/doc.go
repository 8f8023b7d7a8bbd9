// Package reference describes the API: to programs as an OpenAPI 3.1 document, at
// /openapi.json and /openapi.yaml, and to people as pages below /docs.
//
// The document is openapi.json, joined from source/ by `go run ./tools/openapi`; everything
// here is made of it, so the pages and the document cannot differ. Nothing on the pages
// comes from elsewhere and nothing needs a script: they can be read on a host without a way
// out. No key is needed, and nothing of a project is shown.
package reference
