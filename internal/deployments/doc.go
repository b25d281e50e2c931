// Package deployments has only tests: all that the library does, over Sentinel, over
// TLS, with passwords, and as a user who may do no more than docs/operations.md
// says.
package deployments
