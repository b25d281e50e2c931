//go:build !unix

package redistest

import (
	"errors"
	"os"
)

// terminate is the signal that asks a process to end, where there is one.
var terminate = os.Kill

func suspend(*os.Process) error { return errors.ErrUnsupported }
func resume(*os.Process) error  { return errors.ErrUnsupported }
