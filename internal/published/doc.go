// Package published holds tests of what the module shows its users: the API, which
// is recorded so that no change of it goes unnoticed, and the links and the code of the
// pages.
package published
