package deployments_test

import (
	"errors"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
	"github.com/rollcall-go/rollcall/presence"
)

// block reads one of docs/operations.md.
func block(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```" + name + "\n(.*?)```").FindSubmatch(text)
	if m == nil {
		t.Fatalf("no block %q", name)
	}
	return string(m[1])
}

// rules are the words of some blocks.
func rules(t *testing.T, blocks ...string) []string {
	t.Helper()
	var all []string
	for _, name := range blocks {
		all = append(all, strings.Fields(block(t, name))...)
	}
	return all
}

// A user with the rights of docs/operations.md may do all that there is, and has no
// right that nothing needs.
func TestSmallestRights(t *testing.T) {
	for block, s := range map[string]*redistest.Server{"acl-single": redistest.Real(t), "acl-cluster": redistest.Cluster(t, "--cluster-node-timeout", "60000")} {
		t.Run(s.Name(), func(t *testing.T) {
			granted := rules(t, "acl", block)
			s.SetUser("rollcall", append(granted, ">secret")...)
			newClient := func() redis.UniversalClient {
				return s.NewClient(t, func(o *redis.UniversalOptions) {
					o.Username, o.Password, o.DisableIdentity = "rollcall", "secret", true
				})
			}
			admin := s.NewClient(t)
			everything(t, newClient, admin)
			if s.IsCluster() {
				migrate(t, s, newClient(), admin)
			}
			if denied := s.Denied(); len(denied) > 0 {
				t.Errorf("denied: %q", denied)
			}
			used := commands(t, s)
			for _, rule := range granted {
				if command, ok := strings.CutPrefix(rule, "+"); ok && !used[command] {
					t.Errorf("nothing uses %s", rule)
				}
			}
			if t.Failed() {
				t.Log(slices.Sorted(maps.Keys(used)))
			}
		})
	}
}

// Who lacks a right is told so, and where to look for which.
func TestLackOfARight(t *testing.T) {
	s := redistest.Real(t)
	for right, script := range map[string]bool{"+zadd": true, "+info": false} {
		granted := slices.DeleteFunc(rules(t, "acl", "acl-single"), func(rule string) bool { return rule == right })
		s.SetUser("rollcall", append(granted, ">secret")...)
		client := s.NewClient(t, func(o *redis.UniversalOptions) {
			o.Username, o.Password, o.DisableIdentity = "rollcall", "secret", true
		})
		layer, err := groups.New(t.Context(), client, nil)
		if err == nil {
			defer layer.Close(t.Context())
			_, err = presence.New(t.Context(), layer, nil)
		}
		if !errors.Is(err, presence.ErrUnavailable) || !strings.Contains(err.Error(), "ACL LOG") {
			t.Errorf("without %s: %v", right, err)
		}
		if script && layer.Store().Failures()["noperm"] == 0 {
			t.Errorf("without %s: %v", right, layer.Store().Failures())
		}
	}
}

// The lines to paste have these rights, and Redis takes them.
func TestUserOfTheConfiguration(t *testing.T) {
	lines := regexp.MustCompile("(?m)^user (.*)$").FindAllString(block(t, "conf"), -1)
	if len(lines) != 2 {
		t.Fatalf("%d lines", len(lines))
	}
	for i, last := range []string{"acl-single", "acl-cluster"} {
		want := append(strings.Fields("user rollcall on >PASSWORD"), rules(t, "acl", last)...)
		if got := strings.Fields(lines[i]); !slices.Equal(got, want) {
			t.Errorf("with %s have %q, want %q", last, got, want)
		}
	}
	s := redistest.Real(t, append([]string{"--user"}, strings.Fields(lines[0])[1:]...)...)
	n := newNode(t, s.NewClient(t, func(o *redis.UniversalOptions) { o.Username, o.Password = "rollcall", "PASSWORD" }))
	n.Enter(t, "lobby", "ann")
	n.present("lobby", 1)
}

// migrate reads a room whose slot is on its way, as in a cluster that grows.
func migrate(t *testing.T, s *redistest.Server, client, admin redis.UniversalClient) {
	t.Helper()
	keys, err := luascripts.NewKeys("presence", luascripts.DefaultShards(client))
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.HSet(t.Context(), keys.Room("lobby"), "", "1 1 0 0 0").Err(); err != nil {
		t.Fatal(err)
	}
	slot := s.Slot(keys.Room("lobby"))
	m := s.BeginMigration(slot, (s.Owner(slot)+1)%s.Nodes())
	m.Move(100)
	reader, err := presence.NewReader(t.Context(), client, nil)
	if err != nil {
		t.Fatal(err)
	}
	if snapshot, err := reader.Snapshot(t.Context(), "lobby"); err != nil || snapshot.Counts.Revision != 1 {
		t.Errorf("%+v, %v", snapshot, err)
	}
	m.Finish()
}

// commands returns those that have been called.
func commands(t *testing.T, s *redistest.Server) map[string]bool {
	t.Helper()
	used := map[string]bool{}
	for i := range s.Nodes() {
		info, err := s.Node(i).NewClient(t).InfoMap(t.Context(), "commandstats").Result()
		if err != nil {
			t.Fatal(err)
		}
		for name, stats := range info["Commandstats"] {
			if !strings.HasPrefix(stats, "calls=0,") {
				used[strings.TrimPrefix(name, "cmdstat_")] = true
			}
		}
	}
	return used
}
