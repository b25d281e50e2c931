//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nhooyr.io/websocket"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// gone is the bound for visitors that show no sign of life any more.
func gone(maxAge time.Duration) time.Duration {
	return maxAge + intervalsFor(maxAge).sweep + intervalsFor(maxAge).flush
}

func TestKilledNode(t *testing.T) {
	const maxAge = 3 * time.Second
	f := startFleet(t, "-max-age", maxAge.String())
	ada := f.join(t, 1, "hall", "ada")
	leo, lurker := f.join(t, 2, "hall", "leo"), f.join(t, 2, "hall", "")
	f.join(t, 3, "hall", "mia")
	ada.waitList("ada, leo, mia +1")

	syscall.Kill(f.pids[1], syscall.SIGKILL)
	killed := time.Now()
	leo.waitEnd()
	lurker.waitEnd()
	ada.waitList("ada, mia +0")
	if took := time.Since(killed); took > gone(maxAge)+6*time.Second { // which is less than the lease
		t.Errorf("its visitors were listed for %v", took)
	}
	f.waitSaid(`node 2  ended: signal: killed`)

	// A new node on the same port is another node.
	f.waitState(1, 2, crashed)
	f.act(1, 2, "start")
	f.waitState(1, 2, running)
	f.join(t, 2, "hall", "leo").waitList("ada, leo, mia +0")
	ada.waitList("ada, leo, mia +0")
}

func TestCrashButton(t *testing.T) {
	f := startFleet(t, "-max-age", "2s")
	ada, leo := f.join(t, 1, "hall", "ada"), f.join(t, 3, "hall", "leo")
	ada.waitList("ada, leo +0")
	f.act(3, 3, "crash") // asked of the very node that it kills
	leo.waitEnd()
	ada.waitList("ada +0")
	f.waitState(1, 3, crashed)
	f.waitSaid(`- leo \(`) // the terminal says why
}

// A node that wakes after max age has lost its visitors, and tells them.
func TestFrozenNode(t *testing.T) {
	f := startFleet(t, "-max-age", "2s", "-nodes", "2")
	ada, leo := f.join(t, 1, "hall", "ada"), f.join(t, 2, "hall", "leo")
	ada.waitList("ada, leo +0")
	f.act(1, 2, "freeze")
	f.waitState(1, 2, frozen)
	ada.waitList("ada +0")
	syscall.Kill(f.pids[1], syscall.SIGCONT) // rather than wait for 20 s
	leo.waitEnd()
}

func TestDrainedNode(t *testing.T) {
	f := startFleet(t) // max age is a minute: nothing here waits for it
	ada, leo := f.join(t, 1, "hall", "ada"), f.join(t, 2, "hall", "leo")
	f.join(t, 2, "hall", "mia")
	ada.waitList("ada, leo, mia +0")
	f.act(2, 2, "drain")
	ada.waitList("ada +0")
	if code := leo.waitEnd(); code != websocket.StatusGoingAway {
		t.Errorf("close code %d", code)
	}
	f.waitState(1, 2, drained)
	f.act(1, 2, "start")
	f.waitState(1, 2, running)
}

// A socket whose owner is silent and does not even answer pings.
func TestSilentVisitor(t *testing.T) {
	f := startFleet(t, "-max-age", "2s", "-nodes", "2")
	ada := f.join(t, 1, "hall", "ada")
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.urls[1], "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /ws/hall?user=mute HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n", strings.TrimPrefix(f.urls[1], "http://"))
	ada.waitList("ada, mute +0")
	ada.waitList("ada +0")
	// She said nothing either, but her side answers pings.
	var list roomList
	f.get(2, "/rooms/hall", &list)
	if summary(list) != "ada +0" {
		t.Errorf("left: %s", summary(list))
	}
}

func TestStop(t *testing.T) {
	stops := map[string]func(f *testFleet){
		"Ctrl-C":            func(f *testFleet) { f.interrupt() },
		"SIGTERM":           func(f *testFleet) { f.cmd.Process.Signal(syscall.SIGTERM) },
		"Ctrl-C everywhere": func(f *testFleet) { f.interrupt(); syscall.Kill(f.pids[0], syscall.SIGINT) },
		"kill -9":           func(f *testFleet) { f.cmd.Process.Kill() },
	}
	for name, stop := range stops {
		t.Run(name, func(t *testing.T) {
			f := startFleet(t, "-bots", "4")
			c := f.join(t, 1, "hall", "ada")
			c.waitList("ada +0")
			f.act(1, 3, "freeze") // it must not be in the way
			stop(f)
			begun := time.Now()
			redistest.Eventually(t, slack, func() error {
				for _, pid := range append(f.pids, f.cmd.Process.Pid) {
					if isAlive(pid) {
						return fmt.Errorf("process %d is alive", pid)
					}
				}
				return nil
			})
			if took := time.Since(begun); took > stopTime+10*time.Second { // a frozen node awakes by itself after 20 s
				t.Errorf("it took %v", took)
			}
			<-f.ended
			if state := f.cmd.ProcessState; name != "kill -9" && !state.Success() {
				t.Errorf("it ended with %v", state)
			}
			c.waitEnd()
		})
	}
}

// `go run` passes on neither SIGTERM nor SIGKILL, and yet nothing is left.
func TestGoRun(t *testing.T) {
	goTool := redistest.RequireProgram(t, "go")
	f := startCommand(t, func(port string) *exec.Cmd {
		return exec.Command(goTool, "run", ".", "-nodes", "2", "-port", port)
	})
	f.cmd.Process.Kill()
	redistest.Eventually(t, slack, func() error {
		for _, pid := range f.pids {
			if isAlive(pid) {
				return fmt.Errorf("node %d is alive", pid)
			}
		}
		return nil
	})
}

func TestTroubleAtStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	for _, test := range []struct {
		name string
		args []string
		says []string
		code int
	}{
		{"port taken", []string{"-port", fmt.Sprint(port)}, []string{fmt.Sprintf("port %d,", port), "-port "}, 1},
		{"Redis away", []string{"-redis", "redis://user:secret@127.0.0.1:1"}, []string{"127.0.0.1:1 ", "-redis ", "REDIS_URL"}, 1},
		{"Redis away, a cluster", []string{"-redis", "127.0.0.1:1,127.0.0.1:2"}, []string{"127.0.0.1:1, 127.0.0.1:2 ", "-redis "}, 1},
		{"no nodes", []string{"-nodes", "0"}, []string{"-nodes 0"}, 1},
		{"no time", []string{"-max-age", "1ms"}, []string{"-max-age 1ms"}, 1},
		{"not a flag", []string{"-frogs"}, []string{"-frogs", "-max-age"}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := test.args
			if test.name != "port taken" { // the example may be running on its own ports
				args = append([]string{"-port", strconv.Itoa(20000 + rand.IntN(12000))}, args...)
			}
			cmd := exampleCommand(args...)
			output, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != test.code {
				t.Errorf("it ended with %v", err)
			}
			for _, want := range test.says {
				if !bytes.Contains(output, []byte(want)) {
					t.Errorf("it does not say %q: %s", want, output)
				}
			}
			if bytes.Contains(output, []byte("secret")) {
				t.Errorf("it tells the password: %s", output)
			}
		})
	}
}

// The same against a redis-server, and what is in it then.
func TestRealRedis(t *testing.T) {
	server := redistest.Real(t)
	f := startFleet(t, "-redis", "redis://"+server.Addrs[0], "-max-age", "3s")
	ada, leo := f.join(t, 1, "hall", "ada"), f.join(t, 2, "hall", "leo")
	ada.waitList("ada, leo +0")
	leo.send("hello")
	ada.next("message")

	var status fleetStatus
	f.get(1, "/fleet", &status)
	redis := server.NewClient(t)
	kinds := map[string]string{"presence:{0}:rooms": "set"}
	for _, n := range status.Nodes[:2] {
		kinds["presence:{0}:presences:"+n.ID] = "zset"
		if n.Alive == nil || !*n.Alive {
			t.Errorf("node %d is not alive in Redis", n.Node)
		}
	}
	for key, want := range kinds {
		if got, err := redis.Type(t.Context(), key).Result(); got != want {
			t.Errorf("TYPE %s: %q, %v; want %q", key, got, err, want)
		}
	}
	seen, err := redis.ZRangeWithScores(t.Context(), "presence:{0}:presences:"+status.Nodes[1].ID, 0, -1).Result()
	if err != nil || len(seen) != 1 {
		t.Fatalf("presences of node 2: %v, %v", seen, err)
	}
	if at := time.UnixMilli(int64(seen[0].Score)); time.Since(at).Abs() > time.Minute {
		t.Errorf("last seen %v", at)
	}
	if is, err := redis.SIsMember(t.Context(), "presence:{0}:rooms", "hall").Result(); !is {
		t.Errorf("the registry has no hall: %v", err)
	}

	syscall.Kill(f.pids[1], syscall.SIGKILL)
	ada.waitList("ada +0")

	// Redis away later is an answer too.
	server.Kill()
	redistest.Eventually(t, slack, func() error {
		var answer struct {
			Health struct{ State presence.State }
		}
		if status := f.get(1, "/healthz", &answer); status != http.StatusOK || answer.Health.State != presence.Degraded {
			return fmt.Errorf("health: status %d, %+v", status, answer)
		}
		return nil
	})
	if status := f.get(1, "/rooms/hall", nil); status != http.StatusServiceUnavailable {
		t.Errorf("room: status %d", status)
	}
}

// The same against a cluster whose slots move. One of the addresses given does not
// answer.
func TestCluster(t *testing.T) {
	server := redistest.ClusterWithReplicas(t)
	f := startFleet(t, "-redis", strings.Join(append(server.Addrs, "127.0.0.1:1"), ","), "-max-age", "3s")
	ada, leo := f.join(t, 1, "hall", "ada"), f.join(t, 2, "hall", "leo")
	ada.waitList("ada, leo +0")
	leo.send("hello")
	ada.next("message")

	client := server.NewClient(t)
	var hall string
	redistest.Eventually(t, slack, func() error {
		for _, tag := range []string{"0", "apv", "at6", "7v", "36", "6ib", "cgr", "20e", "o7m", "c68", "c2x", "8n1", "8jq", "aat", "4od", "e8s"} {
			key := "presence:{" + tag + "}:rooms"
			if is, err := client.SIsMember(t.Context(), key, "hall").Result(); is || err != nil {
				hall = key
				return err
			}
		}
		return errors.New("no shard has the hall")
	})
	slot := server.Slot(hall)
	server.MigrateSlot(slot, (server.Owner(slot)+1)%server.Nodes())
	f.join(t, 3, "hall", "mia")
	inHall := func(want string) {
		t.Helper()
		redistest.Eventually(t, gone(3*time.Second)+slack, func() error {
			for _, number := range []int{1, 3} {
				var list roomList
				if f.get(number, "/rooms/hall", &list); summary(list) != want {
					return fmt.Errorf("in the hall of node %d: %s, want %s", number, summary(list), want)
				}
			}
			return nil
		})
	}
	inHall("ada, leo, mia +0")
	syscall.Kill(f.pids[1], syscall.SIGKILL)
	inHall("ada, mia +0")
}

// Every file of the page is served, and only this fleet is in its policy.
func TestPageFiles(t *testing.T) {
	f := startFleet(t, "-nodes", "2")
	files, err := filepath.Glob("page/*")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, file := range append(files, "page/") {
		response, err := http.Get(f.url(2, strings.TrimPrefix(file, "page")))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		policy := response.Header.Get("Content-Security-Policy")
		if response.StatusCode != http.StatusOK || !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: status %d, policy %q", file, response.StatusCode, policy)
		}
		if file == "page/" && !strings.Contains(policy, "ws://"+strings.TrimPrefix(f.urls[0], "http://")) {
			t.Errorf("the other node is not in the policy: %q", policy)
		}
	}
	source, err := os.ReadFile("page/index.html")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(source, []byte("://")) {
		t.Error("the page names another place")
	}
	http.DefaultClient.CloseIdleConnections()
}
