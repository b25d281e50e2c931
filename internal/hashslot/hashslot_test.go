package hashslot_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/hashslot"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

func TestOf(t *testing.T) {
	for name, want := range map[string]int{
		"": 0, "123456789": 12739, "foo": 12182, "0": 13907,
		"p:{0}:rooms": 13907, "p:{0}:room:{foo}": 13907, "{foo}": 12182, "}{foo}": 12182,
	} {
		if got := hashslot.Of(name); got != want {
			t.Errorf("%q: slot %d, want %d", name, got, want)
		}
	}
}

// The server is who decides.
func TestOfAgreesWithTheServer(t *testing.T) {
	s := redistest.Cluster(t).Node(0)
	client := redis.NewClient(&redis.Options{Addr: s.Addrs[0]})
	defer client.Close()
	for _, name := range []string{
		"a", "{}", "{", "}", "{}{a}", "{{a}}", "{a", "a}", "}{a}", "x{a}y{b}", "x{}y{b}", "\x00", "\xff{\xff}", "prefix:{z9}:room:{1}", "🙂",
	} {
		want, err := client.ClusterKeySlot(t.Context(), name).Result()
		if err != nil {
			t.Fatal(err)
		}
		if got := hashslot.Of(name); int64(got) != want {
			t.Errorf("%q: slot %d, the server says %d", name, got, want)
		}
	}
}
