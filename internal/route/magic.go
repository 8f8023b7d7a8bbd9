package route

// SandboxDomain never leaves the host in either environment: its recipients play
// parts (delivered@, bounced@, deferred+2@ …), see [ParseMagic].
const SandboxDomain = "sandbox.test"
