// Package luascripts holds rollcall's Lua scripts, each with the one typed Go call that
// builds its arguments and reads its reply, and the names of all keys.
//
// The scripts are in the folder lua. A script is put together from the files that it
// needs before it is sent to Redis: touch from time and touch, for example. Every key
// that a script touches is among its KEYS, so that Redis Cluster can refuse it as a
// whole.
//
// Its Go API serves rollcall's other packages and is not stable.
package luascripts
