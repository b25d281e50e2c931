package published

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	snippet = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")
	indent  = regexp.MustCompile(`(?m)^\t+`)
)

// flat is code at no indentation.
func flat(code string) string { return "\n" + indent.ReplaceAllString(code, "") }

// tested returns the code of all tests and examples.
func tested(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(root, func(name string, _ fs.DirEntry, err error) error {
		name = filepath.ToSlash(name)
		if err != nil || !strings.HasSuffix(name, "_test.go") && !(strings.Contains(name, "/examples/") && strings.HasSuffix(name, ".go")) {
			return err
		}
		code, err := os.ReadFile(name)
		all.Write(code)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return flat(all.String())
}

// Each block of Go on a page is part of a test or an example, which are compiled and
// run, but for how far it is indented.
func TestCodeOnThePagesIsTested(t *testing.T) {
	code, blocks := tested(t), 0
	for _, page := range pages(t) {
		for _, m := range snippet.FindAllStringSubmatch(read(t, page), -1) {
			blocks++
			if !strings.Contains(code, flat(m[1])) {
				t.Errorf("%s has, and no test or example is:\n%s", page, m[1])
			}
		}
	}
	if blocks < 30 {
		t.Errorf("%d blocks found", blocks)
	}
}
