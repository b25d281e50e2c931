package luascripts

import (
	"bytes"
	"io/fs"
	"testing"
)

// CONTRIBUTING.md says so.
func TestScriptFilesAreShort(t *testing.T) {
	files, err := fs.Glob(sources, "lua/*.lua")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := sources.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := 0
		for line := range bytes.Lines(text) {
			if line = bytes.TrimSpace(line); len(line) > 0 && !bytes.HasPrefix(line, []byte("--")) {
				lines++
			}
		}
		if lines > 60 {
			t.Errorf("%s has %d lines of code", file, lines)
		}
	}
}
