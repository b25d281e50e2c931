package luascripts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// kinds are the kinds of failures: those of the client, the first word of an error of
// Redis, and the rest.
var kinds = [...]string{
	"timeout", "connection",
	"ask", "busy", "clusterdown", "loading", "masterdown", "misconf", "moved", "noauth", "noperm", "noreplicas",
	"oom", "readonly", "tryagain", "wrongpass",
	"other",
}

// failures counts by kind.
type failures [len(kinds)]atomic.Uint64

// Failed counts an error from Redis, or on the way there. It does not count what
// scripts return on purpose, or calls that the caller gave up.
func (s *Store) Failed(err error) {
	if err == nil {
		return
	}
	kind := kindOf(err)
	for i, k := range kinds {
		if k == kind {
			s.failures[i].Add(1)
		}
	}
}

// Failures returns how often scripts and sends of this process failed, by kind.
func (s *Store) Failures() map[string]uint64 {
	all := make(map[string]uint64, len(kinds))
	for i, k := range kinds {
		all[k] = s.failures[i].Load()
	}
	return all
}

func kindOf(err error) string {
	var answer redis.Error
	var timeout net.Error
	switch {
	case errors.Is(err, redis.Nil), errors.Is(err, context.Canceled):
		return ""
	case errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case !errors.As(err, &answer):
		return "connection"
	}
	if forbidden(err) {
		return "noperm"
	}
	word, _, _ := strings.Cut(answer.Error(), " ")
	switch word {
	case "FENCED", "HELD", "SCHEMA", "SHARDS", "TAKEN", "CHANGED", "RECORD", "NOSCRIPT":
		return "" // returned by a script of ours, or makes the client send the script
	}
	word = strings.ToLower(word)
	if slices.Contains(kinds[:], word) {
		return word
	}
	return "other"
}

// forbidden reports whether the user lacks a right. For a command of a script, only the
// text of Redis's error says so.
func forbidden(err error) bool {
	return redis.HasErrorPrefix(err, "NOPERM") || err != nil &&
		(strings.Contains(err.Error(), "The user executing the script can't") || strings.Contains(err.Error(), "ACL failure in script"))
}

// Explain adds to an error of Redis what its text lacks.
func Explain(err error) error {
	if forbidden(err) {
		return fmt.Errorf("its user lacks a right, which ACL LOG tells: %w", err)
	}
	return err
}
