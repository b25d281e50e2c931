package conformance_test

import (
	"os"
	"strings"
	"testing"
)

func TestDocument(t *testing.T) {
	document, err := os.ReadFile("../../docs/from-django-channels-presence.md")
	if err != nil {
		t.Fatal(err)
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
