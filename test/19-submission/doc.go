// Package submission sends through the SMTP door with what people really use: Nodemailer,
// Python's smtplib, swaks, msmtp and a relaying Postfix, with and without TLS, and compares
// what is kept with what was sent, octet by octet. It also kills the server behind a 250.
package submission
