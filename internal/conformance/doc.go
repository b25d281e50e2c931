// Package conformance holds the tests that the library must pass as a whole: the
// calls of django-channels-presence one by one, the races and the outages, over
// several nodes. It has no code of its own.
package conformance
