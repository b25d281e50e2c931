package heartbeat_test

import (
	"os"
	"strings"
	"testing"
)

// The quick start in the README is the source of serveRooms, word for word.
func TestReadme(t *testing.T) {
	source, err := os.ReadFile("example_quickstart_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(source), "// serveRooms is one node")
	snippet, _, ended := strings.Cut(rest, "\n}\n")
	if !found || !ended {
		t.Fatal("serveRooms is not where this test looks for it")
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	want := "```go\n// serveRooms is one node" + snippet + "\n}\n```\n"
	if !strings.Contains(string(readme), want) {
		t.Errorf("README.md must contain:\n\n%s", want)
	}
}
