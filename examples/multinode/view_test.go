//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/presence"
)

// roster is what a client makes of a snapshot and the diffs after it. It fails
// the test with whatever does not fit.
type roster struct {
	t         *testing.T
	revision  presence.Revision
	presences map[string]roomPresence
	users     map[string]int
}

func (r *roster) begin(s roomSnapshot) {
	r.revision, r.presences, r.users = s.Revision, map[string]roomPresence{}, map[string]int{}
	for _, p := range s.Presences {
		r.put(p)
	}
	if users := slices.Sorted(maps.Keys(r.users)); !slices.Equal(users, s.Users) {
		r.t.Errorf("snapshot: users %q, of the presences %q", s.Users, users)
	}
	r.check("snapshot", s.Counts)
}

func (r *roster) apply(d roomDiff) {
	if d.Revision <= r.revision {
		r.t.Errorf("revision %d after %d", d.Revision, r.revision)
	}
	r.revision = d.Revision
	before := maps.Clone(r.users)
	for _, gone := range d.Removed {
		r.take(gone.Channel)
	}
	for _, p := range d.Added {
		if _, ok := r.presences[p.Channel]; ok {
			r.t.Errorf("%s came and was there", p.Channel)
		}
		r.put(p)
	}
	for _, p := range d.Updated {
		r.take(p.Channel)
		r.put(p)
	}
	var came, went []string
	for user := range r.users {
		if before[user] == 0 {
			came = append(came, user)
		}
	}
	for user := range before {
		if r.users[user] == 0 {
			went = append(went, user)
		}
	}
	slices.Sort(came)
	slices.Sort(went)
	if !slices.Equal(came, d.UsersCame) || !slices.Equal(went, d.UsersWent) {
		r.t.Errorf("users: %q came and %q went, says the diff %q and %q", came, went, d.UsersCame, d.UsersWent)
	}
	r.check("diff", d.Counts)
}

func (r *roster) put(p roomPresence) {
	r.presences[p.Channel] = p
	if p.User != nil {
		r.users[*p.User]++
	}
}

func (r *roster) take(channel string) {
	p, ok := r.presences[channel]
	if !ok {
		r.t.Errorf("%s went or changed and was not there", channel)
	}
	delete(r.presences, channel)
	if p.User == nil {
		return
	}
	if r.users[*p.User]--; r.users[*p.User] == 0 {
		delete(r.users, *p.User)
	}
}

func (r *roster) check(what string, want roomCounts) {
	got := roomCounts{Presences: len(r.presences), Users: len(r.users)}
	for _, p := range r.presences {
		if p.User == nil {
			got.Anonymous++
		}
	}
	if got != want {
		r.t.Errorf("%s: counts %+v, of the presences %+v", what, want, got)
	}
}

// connections are how many each user has; anonymous ones are under "".
func (r *roster) connections() map[string]int {
	connections := maps.Clone(r.users)
	for _, p := range r.presences {
		if p.User == nil {
			connections[""]++
		}
	}
	return connections
}

func (r *roster) typing() bool {
	for _, p := range r.presences {
		var info visitorInfo
		decode(r.t, p.Info, &info)
		if info.Typing {
			return true
		}
	}
	return false
}

// nextSnapshot begins a roster, and fails if a diff comes first.
func (c *client) nextSnapshot() (*roster, roomSnapshot) {
	c.t.Helper()
	var first struct {
		Type    string
		Payload roomSnapshot
	}
	decode(c.t, c.next("snapshot", "diff"), &first)
	if first.Type != "snapshot" {
		c.t.Fatalf("first comes %q", first.Type)
	}
	r := &roster{t: c.t}
	r.begin(first.Payload)
	return r, first.Payload
}

// nextDiff fails if a snapshot comes: there is one alone.
func (c *client) nextDiff(r *roster) roomDiff {
	c.t.Helper()
	var next struct {
		Type    string
		Payload roomDiff
	}
	decode(c.t, c.next("snapshot", "diff"), &next)
	if next.Type != "diff" {
		c.t.Fatalf("after the snapshot comes %q", next.Type)
	}
	r.apply(next.Payload)
	return next.Payload
}

func decode(t *testing.T, data json.RawMessage, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
}

const (
	typingOn  = `{"type":"typing","payload":true}`
	typingOff = `{"type":"typing","payload":false}`
)

// The protocol of the views, word by word, as it is in doc.go.
func TestViewOnTheWire(t *testing.T) {
	f := startFleet(t)
	ada := f.join(t, 1, "hall", "ada")
	raw := ada.next("snapshot", "diff")
	var first struct{ Payload roomSnapshot }
	decode(t, raw, &first)
	me := first.Payload.Presences[0]
	one := fmt.Sprintf(`{"channel":%q,"user":"ada","joined_at":%q,"info":{"node":1}}`, me.Channel, me.JoinedAt.Format(time.RFC3339Nano))
	sameJSON(t, raw, fmt.Sprintf(`{"type":"snapshot","payload":{"channel_name":"hall","you":%q,"revision":%d,
		"counts":{"presences":1,"users":1,"anonymous":0},"users":["ada"],"presences":[%s]}}`, me.Channel, first.Payload.Revision, one))
	if me.JoinedAt.UnixMicro()/1000 != int64(first.Payload.Revision)/1000 {
		t.Errorf("joined at %v, revision %d", me.JoinedAt, first.Payload.Revision)
	}
	r := &roster{t: t}
	r.begin(first.Payload)

	f.join(t, 3, "hall", "") // someone anonymous
	var there struct{ Payload roomDiff }
	raw = ada.next("snapshot", "diff")
	decode(t, raw, &there)
	p := there.Payload.Added[0]
	other := fmt.Sprintf(`{"channel":%q,"user":null,"joined_at":%q,"info":{"node":3}`, p.Channel, p.JoinedAt.Format(time.RFC3339Nano))
	sameJSON(t, raw, fmt.Sprintf(`{"type":"diff","payload":{"channel_name":"hall","revision":%d,
		"counts":{"presences":2,"users":1,"anonymous":1},"added":[%s}],"updated":[],"removed":[],
		"users_came":[],"users_went":[],"resync":false}}`, there.Payload.Revision, other))
	r.apply(there.Payload)

	leo := f.join(t, 2, "hall", "leo")
	d := ada.nextDiff(r)
	if len(d.Added) != 1 || !slices.Equal(d.UsersCame, []string{"leo"}) {
		t.Errorf("leo came: %+v", d)
	}
	_, s := leo.nextSnapshot()
	if s.You != d.Added[0].Channel {
		t.Errorf("leo is %s, says the diff %s", s.You, d.Added[0].Channel)
	}

	// A second connection is no user who came.
	again := f.join(t, 3, "hall", "leo")
	if d := ada.nextDiff(r); len(d.Added) != 1 || len(d.UsersCame) != 0 {
		t.Errorf("leo came again: %+v", d)
	}
	again.conn.CloseNow()
	if d := ada.nextDiff(r); len(d.Removed) != 1 || d.Removed[0].Reason != presence.Disconnected || len(d.UsersWent) != 0 {
		t.Errorf("leo's second connection: %+v", d)
	}
	leo.conn.CloseNow()
	raw = ada.next("snapshot", "diff")
	decode(t, raw, &there)
	leoWas := s.Presences[slices.IndexFunc(s.Presences, func(p roomPresence) bool { return p.Channel == s.You })]
	sameJSON(t, raw, fmt.Sprintf(`{"type":"diff","payload":{"channel_name":"hall","revision":%d,
		"counts":{"presences":2,"users":1,"anonymous":1},"added":[],"updated":[],
		"removed":[{"channel":%q,"user":"leo","joined_at":%q,"info":{"node":2},"reason":"disconnected"}],
		"users_came":[],"users_went":["leo"],"resync":false}}`,
		there.Payload.Revision, leoWas.Channel, leoWas.JoinedAt.Format(time.RFC3339Nano)))
}

// Typing is an update of a presence: nobody comes or goes, and the list of users
// is not sent again.
func TestTypingOnTheWire(t *testing.T) {
	f := startFleet(t)
	ada := f.join(t, 1, "hall", "ada")
	r, _ := ada.nextSnapshot()
	leo := f.join(t, 2, "hall", "leo")
	ada.nextDiff(r)
	lists := 0 // in between; one of each arrival may come late
	next := func() roomDiff {
		t.Helper()
		for {
			var f struct {
				Type    string
				Payload json.RawMessage
			}
			decode(t, ada.next("presence", "snapshot", "diff"), &f)
			if f.Type != "presence" {
				var d roomDiff
				decode(t, f.Payload, &d)
				r.apply(d)
				return d
			}
			lists++
		}
	}
	updated := func(why string, want bool) {
		t.Helper()
		d := next()
		var info visitorInfo
		if len(d.Updated) == 1 {
			decode(t, d.Updated[0].Info, &info)
		}
		if len(d.Updated) != 1 || info != (visitorInfo{Node: 2, Typing: want}) || *d.Updated[0].User != "leo" {
			t.Fatalf("%s: %+v", why, d)
		}
		if len(d.Added)+len(d.Removed)+len(d.UsersCame)+len(d.UsersWent) > 0 {
			t.Errorf("%s: someone came or went: %+v", why, d)
		}
	}
	leo.send(typingOn)
	updated("on", true)
	leo.send(typingOff)
	updated("off", false)
	leo.send(typingOn)
	updated("on again", true)
	leo.send("hello")
	updated("said", false)
	var line struct{ Payload roomLine }
	decode(t, leo.next("message"), &line)
	if line.Payload.Text != "hello" {
		t.Errorf("heard %q, which was typing", line.Payload.Text)
	}
	if lists > 2 {
		t.Errorf("%d lists came: typing has sent some", lists)
	}
	f.join(t, 3, "hall", "mia")
	if d := next(); !slices.Equal(d.UsersCame, []string{"mia"}) {
		t.Errorf("mia came: %+v", d)
	}
}

func TestNoLists(t *testing.T) {
	f := startFleet(t, "-nodes", "2")
	ada := dial(t, f.wsURL(1, "hall", "ada")+"&presence=off")
	ada.nextSnapshot()
	f.join(t, 2, "hall", "leo").waitList("ada, leo +0")
	f.join(t, 1, "hall", "mia").waitList("ada, leo, mia +0")
	ada.send("done")
	if data := ada.next("presence", "message"); !strings.Contains(string(data), "done") {
		t.Errorf("got %s", data)
	}
}

// Visitors come, type and go at random on all nodes, and a node is drained.
// Nothing that anyone is told contradicts what he was told before, and in the
// end all have what Redis has.
func TestDiffsFit(t *testing.T) {
	f := startFleet(t)
	var watchers []*client
	var rosters []*roster
	for number := 1; number <= 2; number++ {
		c := f.join(t, number, "square", fmt.Sprint("w", number))
		r, _ := c.nextSnapshot()
		watchers, rosters = append(watchers, c), append(rosters, r)
	}
	type visitor struct {
		*client
		number int
		name   string
	}
	var visitors []visitor
	names := []string{"abe", "bea", "cid", ""}
	for i := range 120 {
		switch pick := rand.IntN(10); {
		case pick < 5 || len(visitors) == 0:
			v := visitor{number: rand.IntN(3) + 1, name: names[rand.IntN(len(names))]}
			v.client = f.join(t, v.number, "square", v.name)
			visitors = append(visitors, v)
		case pick < 8:
			at := rand.IntN(len(visitors))
			visitors[at].conn.CloseNow()
			visitors = slices.Delete(visitors, at, at+1)
		default:
			visitors[rand.IntN(len(visitors))].send([]string{typingOn, typingOff}[i%2])
		}
	}
	f.act(1, 3, "drain")
	visitors = slices.DeleteFunc(visitors, func(v visitor) bool { return v.number == 3 })
	want := map[string]int{"w1": 1, "w2": 1}
	for _, v := range visitors {
		v.send(typingOff)
		want[v.name]++
	}
	for i, c := range watchers {
		for r := rosters[i]; r.typing() || !maps.Equal(r.connections(), want); {
			c.nextDiff(r)
		}
	}
	// On the way there may be others of the same names.
	for rosters[0].revision != rosters[1].revision {
		behind := 0
		if rosters[1].revision < rosters[0].revision {
			behind = 1
		}
		watchers[behind].nextDiff(rosters[behind])
	}
	if !reflect.DeepEqual(rosters[0].presences, rosters[1].presences) {
		t.Errorf("two watchers differ:\n%v\n%v", rosters[0].presences, rosters[1].presences)
	}
	var truth roomList
	f.get(1, "/rooms/square", &truth)
	lurkers := want[""]
	delete(want, "")
	if got, want := summary(truth), fmt.Sprintf("%s +%d", strings.Join(slices.Sorted(maps.Keys(want)), ", "), lurkers); got != want {
		t.Errorf("Redis has %s, the watchers %s", got, want)
	}
}

// A killed node's visitors time out, and the diff says so.
func TestReasonOnTheWire(t *testing.T) {
	f := startFleet(t, "-max-age", "2s")
	ada := f.join(t, 1, "hall", "ada")
	r, _ := ada.nextSnapshot()
	for _, each := range []struct {
		number int
		action string
		want   presence.Reason
	}{{2, "drain", presence.Drained}, {3, "crash", presence.TimedOut}} {
		f.join(t, each.number, "hall", "leo").nextSnapshot() // he has come in wholly
		if d := ada.nextDiff(r); !slices.Equal(d.UsersCame, []string{"leo"}) {
			t.Fatalf("leo came: %+v", d)
		}
		f.act(1, each.number, each.action)
		if d := ada.nextDiff(r); len(d.Removed) != 1 || d.Removed[0].Reason != each.want || !slices.Equal(d.UsersWent, []string{"leo"}) {
			t.Errorf("%s: %+v", each.action, d)
		}
	}
}
