package prune

import (
	"errors"
	"testing"

	"github.com/rollcall-go/rollcall/luascripts"
)

// A problem that a later pass does not find any more was mended with another one, unless
// its repair was put off: what put it off may hide it, too.
func TestWhatOutlivesAPass(t *testing.T) {
	for why, mended := range map[error]bool{
		errors.New("of the wrong type"): true,
		luascripts.ErrHeld:              false,
		luascripts.ErrBusyRoom:          false,
	} {
		p := Problem{Kind: NodeOverdue, Node: "n", Why: why}
		left, told := map[identity]Problem{}, 0
		outlive(map[identity]Problem{p.identity(): p}, left, true, func(p Problem, _ error) bool {
			told++
			return p.Mended
		})
		if (told == 1) != mended || (len(left) == 0) != mended {
			t.Errorf("%v: told %d times, left %v", why, told, left)
		}
	}
}
