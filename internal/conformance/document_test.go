package conformance_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Each Go snippet of the document is a part of the examples, which are compiled
// and run, but for how far it is indented.
func TestDocument(t *testing.T) {
	source, err := os.ReadFile("example_django_test.go")
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile("../../docs/from-django-channels-presence.md")
	if err != nil {
		t.Fatal(err)
	}
	snippets := regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllStringSubmatch(string(document), -1)
	if len(snippets) < 10 {
		t.Errorf("%d snippets found", len(snippets))
	}
	for _, m := range snippets {
		if !contains(string(source), m[1]) {
			t.Errorf("not in example_django_test.go:\n\n%s", m[1])
		}
	}
	for _, name := range []string{
		"Room.objects.add", "Room.objects.remove", "prune_presences", "prune_rooms", "room.channel_name",
		"get_users", "get_anonymous_count", "Presence.objects.touch", "leave_all", "presence.room", "`.channel_name`",
		"`.user`", "`.last_seen`", "touch_presence", "remove_presence", "presence_changed", "`room`", "`added`",
		"`removed`", "`bulk_change`", "CHANNELS_PRESENCE_MAX_AGE", "broadcast", "forward.message",
		"manage.py prune_presences", "manage.py prune_rooms", "Celery", "setInterval", "JSON.stringify(\"heartbeat\")",
	} {
		if !strings.Contains(string(document), name) {
			t.Errorf("the document does not tell of %s", name)
		}
	}
}

// contains tells whether a snippet is in a source, at any indentation.
func contains(source, snippet string) bool {
	for indent := range 4 {
		var b strings.Builder
		for line := range strings.Lines(snippet) {
			if line != "\n" {
				b.WriteString(strings.Repeat("\t", indent))
			}
			b.WriteString(line)
		}
		if strings.Contains("\n"+source, "\n"+b.String()) {
			return true
		}
	}
	return false
}
