// Package webhook posts events to URLs of a project's: it plans which are owed, signs them
// (Standard Webhooks), posts them through a guard, and tries again.
package webhook
