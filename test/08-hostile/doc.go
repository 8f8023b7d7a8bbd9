// Package hostile says to the real process, over real connections, what nobody with good
// intentions says: at the HTTP door, and as the server it delivers to. The door must answer
// JSON with a code and never a 500; the queue must never stick.
package hostile
