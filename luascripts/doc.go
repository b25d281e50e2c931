// Package luascripts holds rollcall's Lua scripts, each with the one typed Go
// call that builds its arguments and reads its reply, and the names of all keys.
//
// The scripts are in the folder lua. A script that is sent to Redis is put
// together from the files that it needs: touch from time and touch, for example.
// Every key that a script touches is among its KEYS, so that Redis Cluster can
// refuse it whole.
//
// Its Go API serves the other packages of rollcall and is not stable.
package luascripts
