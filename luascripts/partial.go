package luascripts

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// PartialError means that some shards are away: they do not answer, or cannot serve.
// The result beside it has what the other shards hold.
type PartialError struct {
	Shards []int   // the shards that are away, in order
	Errs   []error // why each of them is away
}

func (e *PartialError) Error() string {
	if len(e.Shards) == 1 {
		return fmt.Sprintf("shard %d is away: %v", e.Shards[0], e.Errs[0])
	}
	list := strings.Trim(fmt.Sprint(e.Shards), "[]")
	return fmt.Sprintf("shards %s are away, the first: %v", strings.ReplaceAll(list, " ", ", "), e.Errs[0])
}

// Unwrap returns Errs.
func (e *PartialError) Unwrap() []error { return e.Errs }

// Away has the reasons why some shards are away, by shard.
type Away map[int]error

// Err returns a *PartialError, or nil if no shard is away.
func (a Away) Err() error {
	if len(a) == 0 {
		return nil
	}
	e := &PartialError{Shards: slices.Sorted(maps.Keys(a))}
	for _, shard := range e.Shards {
		e.Errs = append(e.Errs, a[shard])
	}
	return e
}
