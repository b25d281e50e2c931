//go:build unix

package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// tab is a page in a browser.
type tab struct {
	t    *testing.T
	ctx  context.Context
	id   int
	name string // for messages of tests

	width    int
	features []*emulation.MediaFeature
}

// newBrowser starts Chromium; each call of open is one more tab.
func newBrowser(t *testing.T) (open func(width, height int, dark bool) *tab) {
	path := redistest.RequireProgram(t, "chromium", "chromium-browser", "google-chrome")
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
	)
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("close the browser: %v", err)
		}
		cancel()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	tabs := 0
	return func(width, height int, dark bool) *tab {
		t.Helper()
		tabs++
		ctx, cancel := chromedp.NewContext(ctx)
		t.Cleanup(cancel)
		// The first call opens the tab, which ends with that call's context.
		if err := chromedp.Do(ctx); err != nil {
			t.Fatal(err)
		}
		p := &tab{t: t, ctx: ctx, id: tabs, width: width}
		p.do(chromedp.EmulateViewport(int64(width), int64(height)))
		scheme := "light"
		if dark {
			scheme = "dark"
		}
		p.name = fmt.Sprintf("%s, %d px", scheme, width)
		p.media("prefers-color-scheme", scheme)
		return p
	}
}

// media has the page see a media feature, besides those that it was told before.
func (p *tab) media(feature, value string) {
	p.t.Helper()
	p.features = append(p.features, &emulation.MediaFeature{Name: feature, Value: value})
	params := emulation.SetEmulatedMediaParams{Features: p.features}
	p.do(func(ctx context.Context, at *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, at, emulation.SetEmulatedMedia, params)
		return chromedp.Void{}, err
	})
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *tab) eval(expression string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		p.t.Fatal(err)
	}
	return text
}

// wait waits until the text of an element has want in it.
func (p *tab) wait(id, want string) {
	p.t.Helper()
	redistest.Eventually(p.t, 2*slack, func() error {
		if got := p.text(id); !strings.Contains(got, want) {
			return fmt.Errorf("#%s is %q, without %q", id, got, want)
		}
		return nil
	})
}

func (p *tab) waitNot(id, unwanted string) {
	p.t.Helper()
	redistest.Eventually(p.t, 2*slack, func() error {
		if got := p.text(id); strings.Contains(got, unwanted) {
			return fmt.Errorf("#%s is %q, with %q", id, got, unwanted)
		}
		return nil
	})
}

func (p *tab) text(id string) string {
	return p.eval(fmt.Sprintf("document.getElementById(%q)?.textContent", id))
}

func (p *tab) enter(f *testFleet, number int, room, name string) {
	p.t.Helper()
	p.do(chromedp.Navigate(f.url(number, fmt.Sprintf("/#room=%s&name=%s", room, name))))
	p.wait("where-text", fmt.Sprintf("on node %d", number))
}

func (p *tab) say(text string) {
	p.t.Helper()
	p.do(chromedp.SendKeys("#line", text+kb.Enter))
}

// Two pages on two nodes see each other come, speak and go; then one's node
// is killed, and it comes back by itself on another.
func TestPages(t *testing.T) {
	open := newBrowser(t)
	const maxAge = 3 * time.Second
	f := startFleet(t, "-max-age", maxAge.String())
	ada, leo := open(1280, 900, false), open(360, 740, true)

	// The first joins with one click, by what the page proposes, and faster
	// than the page has heard of the fleet.
	ada.do(chromedp.Navigate(f.url(1, "/")), chromedp.Evaluate[chromedp.Void](
		`void (document.getElementById("name").value = "Ada", document.getElementById("join-button").click())`))
	ada.wait("where-text", "on node 1")
	ada.wait("room-counts", "1 person")
	ada.wait("members", "Ada")

	leo.enter(f, 2, "garden", "Leo")
	ada.wait("members", "Leo")
	ada.wait("activity", "Leo came")
	leo.wait("members", "Ada")
	lurker := f.join(t, 3, "garden", "")
	ada.wait("lurkers", "1 anonymous visitor")
	second := f.join(t, 3, "garden", "Leo")
	ada.wait("members", "2 connections · nodes 2, 3")

	leo.say(`<img src=x onerror="document.title='hacked'">`)
	ada.wait("messages", `<img src=x onerror=`)
	if ada.eval(`document.querySelectorAll("#messages img").length`) != "0" || strings.Contains(ada.eval("document.title"), "hacked") {
		t.Error("what someone says becomes markup")
	}
	ada.say("Good morning, Leo")
	leo.wait("messages", "Good morning, Leo")
	for _, part := range []string{"people", "fleet", "talk"} {
		leo.do(chromedp.Click(fmt.Sprintf(`.tabs [data-tab=%s]`, part)))
		if wide := leo.eval("document.documentElement.scrollWidth - innerWidth"); wide != "0" {
			t.Errorf("on a phone %q is %s px too wide", part, wide)
		}
	}
	leo.typing(ada)
	lurker.conn.CloseNow()
	second.conn.CloseNow()
	ada.wait("activity", "Anonymous disconnected")
	ada.waitNot("members", "2 connections")
	leo.do(chromedp.Evaluate[chromedp.Void](`document.getElementById("leave").click()`))
	ada.wait("activity", "Leo disconnected")
	ada.waitNot("members", "Leo")
	leo.do(chromedp.Click("#join-button"))
	ada.wait("members", "Leo")

	// Ada's own page kills Leo's node.
	ada.do(chromedp.Click(`[data-node="2"] .crash`))
	ada.wait("nodes", "crashed")
	leo.wait("where-text", "on node")
	leo.waitNot("where-text", "node 2")
	ada.wait("members", "Leo")
	ada.wait("activity", "Leo · one timed out")
	ada.waitNot("members", "2 connections")
	leo.same(ada)
	leo.say("That was quick")
	ada.wait("messages", "That was quick")

	ada.do(chromedp.Click(`[data-node="2"] .start`))
	ada.wait("fleet-summary", "3 of 3 running")

	// A reload comes back to the same place.
	ada.do(chromedp.Reload())
	ada.wait("members", "Ada")
	leo.waitNot("members", "2 connections")

	// Who goes on to another page has gone, and the way back leads back.
	leo.do(chromedp.Navigate("about:blank"))
	ada.wait("activity", "Leo disconnected")
	ada.waitNot("members", "Leo")
	// NavigateBack waits for a load, which a page that was kept does not have.
	leo.do(chromedp.Evaluate[chromedp.Void]("void setTimeout(() => history.back())"))
	ada.wait("members", "Leo")
	leo.wait("where-text", "on node")

	// So does an address that is typed in.
	leo.do(chromedp.Evaluate[chromedp.Void](`void (location.hash = "room=harbour&name=Leo")`))
	leo.wait("room-name", "harbour")
	ada.waitNot("members", "Leo")
}

// typing has p type a line that nobody sends, and one that is sent: the other
// page shows that as it comes and goes, and as nothing else.
func (p *tab) typing(other *tab) {
	p.t.Helper()
	news := other.text("activity")
	other.do(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("#members li").forEach((row) => (row.marked = true))`))
	p.do(chromedp.SendKeys("#line", "hm"))
	other.wait("typing", "Leo is typing")
	other.wait("members", "Leotyping")
	other.waitNot("typing", "typing") // no key for a while
	other.waitNot("members", "typing")
	p.do(chromedp.SendKeys("#line", "m"))
	other.wait("typing", "Leo is typing")
	p.say("")
	other.wait("messages", "hmm")
	other.waitNot("typing", "typing")
	if got := p.text("typing"); got != "" {
		p.t.Errorf("one's own page says %q", got)
	}
	if now := other.text("activity"); now != news {
		p.t.Errorf("typing is news: %q, before it %q", now, news)
	}
	if other.eval(`Array.from(document.querySelectorAll("#members li")).every((row) => row.marked)`) != "true" {
		p.t.Error("typing draws a row anew")
	}
}

// same waits until both pages list the same people on the same nodes.
func (p *tab) same(other *tab) {
	p.t.Helper()
	const list = `Array.from(document.querySelectorAll("#members li"), (row) => row.querySelector(".member-name").textContent + " " + row.querySelector(".connections").textContent).join()`
	redistest.Eventually(p.t, 2*slack, func() error {
		if mine, theirs := p.eval(list), other.eval(list); mine != theirs {
			return fmt.Errorf("one page has %q, the other %q", mine, theirs)
		}
		return nil
	})
}

// A Redis that drops its connections, and one that comes back with nothing,
// leave the lists right, and no page is loaded again.
func TestPagesWithoutRedis(t *testing.T) {
	server := redistest.Real(t)
	open := newBrowser(t)
	f := startFleet(t, "-redis", "redis://"+server.Addrs[0])
	ada, leo, late := open(1280, 900, false), open(360, 740, false), open(360, 740, true)
	ada.enter(f, 1, "garden", "Ada")
	leo.enter(f, 2, "garden", "Leo")
	mia := f.join(t, 3, "garden", "Mia")
	ada.wait("members", "Mia")
	for _, p := range []*tab{ada, leo} {
		p.do(chromedp.Evaluate[chromedp.Void]("void (window.loadedOnce = true)"))
	}

	server.DropClients()
	mia.conn.CloseNow()
	ada.waitNot("members", "Mia")
	ada.wait("activity", "read the room again")
	leo.waitNot("members", "Mia")
	leo.same(ada)

	server.Kill()
	ada.wait("where-text", "on node 1 · no Redis")
	late.do(chromedp.Navigate(f.url(3, "/#room=garden&name=Zoe")))
	late.wait("where-text", "waiting for Redis")
	ada.do(chromedp.SendKeys("#line", "kept"+kb.Enter)) // it cannot be sent now
	server.Start()
	late.wait("where-text", "on node")
	for _, p := range []*tab{ada, leo, late} {
		p.waitNot("where-text", "Redis")
		p.wait("room-counts", "3 people")
		p.same(ada)
	}
	ada.say("")
	late.wait("messages", "kept")
	for _, p := range []*tab{ada, leo} {
		if p.eval("window.loadedOnce") != "true" {
			t.Error("a page was loaded again")
		}
	}
}

// A node that answers nothing has gone too, though its sockets are open.
func TestPageOnFrozenNode(t *testing.T) {
	open := newBrowser(t)
	f := startFleet(t)
	ada := open(1280, 900, true)
	ada.enter(f, 2, "garden", "Ada")
	ada.do(chromedp.Click(`[data-node="2"] .freeze`))
	ada.wait("nodes", "frozen")
	ada.waitNot("where-text", "node 2")
	ada.wait("where-text", "on node")
	ada.say("Moved over")
	ada.wait("messages", "Moved over")
}
