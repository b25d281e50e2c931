package redisarg_test

import (
	"bytes"
	"flag"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redisarg"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// reach writes and reads through what a target leads to, in many slots.
func reach(t *testing.T, target string) {
	t.Helper()
	client, address, err := redisarg.Connect(t.Context(), target)
	if err != nil {
		t.Fatalf("%q: %v", target, err)
	}
	defer client.Close()
	if address == "" || strings.ContainsAny(address, "@/?") {
		t.Errorf("%q: shown as %q", target, address)
	}
	for _, key := range strings.Fields("a b c d e f") {
		if err := client.Set(t.Context(), key, "x", 0).Err(); err != nil {
			t.Errorf("%q: %v", target, err)
		}
	}
}

func TestAllFormsLeadThere(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		whole, first := strings.Join(s.Addrs, ","), s.Addrs[0]
		targets := []string{whole, first, "redis://" + whole, "redis://" + first, "redis://" + first + "/0", "redis://" + whole + "/0?pool_size=2"}
		if s.Real() {
			s.SetUser("rollcall", "~*", "&*", "+@all", ">se,cret")
			for _, hosts := range []string{whole, first, strings.Replace(strings.Join(s.Addrs, "&addr="), "&", "?", 1)} {
				targets = append(targets, "redis://rollcall:se,cret@"+hosts)
			}
		}
		for _, target := range targets {
			reach(t, target)
		}
		t.Setenv("REDIS_URL", "redis://"+whole)
		reach(t, "")
	})
}

func TestBehindSentinel(t *testing.T) {
	w := redistest.Sentinels(t)
	w.Master.SetUser("rollcall", "~*", "&*", "+@all", ">secret")
	for _, sentinels := range []string{w.Addrs[0], strings.Join(w.Addrs, ","), "127.0.0.1:1," + w.Addrs[1]} {
		reach(t, "redis://"+sentinels+"?master_name="+redistest.MasterName+"&username=rollcall&password=secret")
	}
}

// Of several addresses no server need answer to be seen as a cluster.
func TestTLSForAClusterToo(t *testing.T) {
	client, address, err := redisarg.Connect(t.Context(), "rediss://rollcall:secret@redis.example:1, [::1]:2,redis.example:3")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c, ok := client.(*redis.ClusterClient)
	if !ok || address != "redis.example:1,[::1]:2,redis.example:3" {
		t.Fatalf("%T %s", client, address)
	}
	if o := c.Options(); o.TLSConfig == nil || o.TLSConfig.ServerName != "redis.example" || o.Username != "rollcall" || o.Password != "secret" || !o.ContextTimeoutEnabled {
		t.Errorf("%+v", o)
	}
}

func TestWhatIsNoAddress(t *testing.T) {
	for _, target := range []string{
		"redis", "redis:6379,", ",redis:6379", "user:s3cret@redis:6379", "redis://user:s3cret@redis:1,redis", "redis://:s3cret@redis:1,,redis:2",
		"http://:s3cret@redis:1,redis:2", "redis://sentinel:1?master_name=", "redis://sentinel:1/x?master_name=main&password=s3cret", "unix:///s3cret,redis:1?no=1", "redis://:s3/cret@redis:1,redis:2",
	} {
		client, _, err := redisarg.Connect(t.Context(), target)
		if err == nil {
			client.Close()
			t.Errorf("%q is taken", target)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", target, err)
		}
	}
}

func TestTheHelpShowsHow(t *testing.T) {
	var target string
	var help bytes.Buffer
	set := flag.NewFlagSet("", flag.ContinueOnError)
	set.SetOutput(&help)
	redisarg.Flag(set, &target)
	set.PrintDefaults()
	for _, want := range []string{"redis://user:password@host:port,host:port", "rediss", "master_name", "$REDIS_URL"} {
		if !strings.Contains(help.String(), want) {
			t.Errorf("help lacks %q:\n%s", want, &help)
		}
	}
}
