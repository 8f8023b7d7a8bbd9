// Package certificate is where the certificate of the SMTP doors comes from:
//
//	Files    two files of the operator's, read again when they change
//	Managed  an authority that speaks ACME, with renewal (RFC 8555)
//	Own      self-signed, made at first start and kept: better than clear text, and all a
//	         host without a public name can have
//
// Each has Get for tls.Config.GetCertificate and Run, which keeps it up to date.
package certificate
