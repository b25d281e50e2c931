package groups_test

import (
	"strings"
	"testing"

	"github.com/rollcall-go/rollcall/groups"
)

func TestCloseErrorCheck(t *testing.T) {
	longest := strings.Repeat("x", groups.MaxCloseReason)
	for _, code := range []int{1000, 1003, 1007, 1014, 3000, 4999} {
		if err := (groups.CloseError{Code: code, Reason: longest}).Check(); err != nil {
			t.Errorf("%d: %v", code, err)
		}
	}
	for _, code := range []int{-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000} {
		wantInvalid(t, "code", groups.CloseError{Code: code}.Check())
	}
	wantInvalid(t, "reason", groups.CloseError{Code: 4000, Reason: longest + "x"}.Check())
}
