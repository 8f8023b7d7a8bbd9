// Package harness runs Postroad as its users do: the built binary in a process of its
// own, its settings in the environment, its HTTP API from outside. The scenarios in
// test/NN-name and the benchmark stand on it.
//
// [Binary] builds it, [Launch] starts it and waits until it is ready ([Start] does both
// for a test and cleans up after it); [Postroad.Kill] is kill -9, [Postroad.Stop] the
// soft stop, [Postroad.Restart] another process on the same data. [Postroad.Call] is one
// request, [Postroad.Send] one message, [Postroad.ExpectEvents] its whole timeline.
//
// Every answer [Postroad.Do] gets is held against the API's description (package contract); one
// that differs fails the test at its end.
//
// A [World] is the Internet such a Postroad lives in: a name server and mail exchangers
// on 127.0.0.x, all at one port, which are real servers to it. [World.Verify] gives it a
// sending domain whose records stand in that name server. [StartPostfix] adds a
// receiver nobody here wrote.
package harness
