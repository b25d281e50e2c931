//go:build unix

package main

import (
	_ "embed"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

//go:embed testdata/audit.js
var auditScript string

// audit fails the test for what is wrong with the page as it is now.
func (p *tab) audit(when string) {
	p.t.Helper()
	p.do(chromedp.Evaluate[chromedp.Void](auditScript + "; undefined"))
	if wrong := p.eval("audit.page()"); wrong != "" {
		p.t.Errorf("%s, %s:\n%s", p.name, when, wrong)
	}
	// Tab, from the top, comes to everything and shows where it is.
	p.do(chromedp.Evaluate[chromedp.Void]("audit.begin()"))
	for range 100 {
		p.press(kb.Tab)
		wrong := p.eval("audit.focus()")
		if wrong == "end" {
			break
		}
		if wrong != "" {
			p.t.Errorf("%s, %s:\n%s", p.name, when, wrong)
		}
	}
	if wrong := p.eval("audit.unreached()"); wrong != "" {
		p.t.Errorf("%s, %s:\n%s", p.name, when, wrong)
	}
}

// parts calls see for each part of the page that is shown at a time: on a phone
// there are tabs.
func (p *tab) parts(when string) {
	p.t.Helper()
	shown := p.eval(`Array.from(document.querySelectorAll(".tabs button")).filter((b) => b.checkVisibility()).map((b) => b.dataset.tab)`)
	if shown == "" {
		p.audit(when)
		return
	}
	for _, part := range strings.Split(shown, ",") {
		p.do(chromedp.Click(fmt.Sprintf(".tabs [data-tab=%s]", part)))
		p.audit(when + ", " + part)
	}
}

// live checks what is read aloud when it changes: neither too little nor all day.
func (p *tab) live(want string) {
	p.t.Helper()
	const regions = `Array.from(document.querySelectorAll("output, [aria-live], [role=log], [role=status], [role=alert]"), (e) => (e.role ?? e.localName) + " " + e.id).join()`
	if got := p.eval(regions); got != want {
		p.t.Errorf("read aloud: %s; want %s", got, want)
	}
}

// Both pages, in whatever state, in each scheme, at a desktop's width and at 320 px:
// the narrowest to which WCAG holds a page, and what a desktop has at a zoom of 400 %.
func TestPagesForAll(t *testing.T) {
	server := redistest.Real(t)
	open := newBrowser(t)
	f := startFleet(t, "-redis", "redis://"+server.Addrs[0], "-max-age", "3s")
	var rooms, numbers []*tab
	for _, dark := range []bool{false, true} {
		for _, pages := range []*[]*tab{&rooms, &numbers} {
			*pages = append(*pages, open(1280, 860, dark), open(320, 640, dark))
		}
	}
	each := func(pages []*tab, when string, ready func(p *tab)) {
		t.Helper()
		for _, p := range pages {
			ready(p)
			p.parts(when)
		}
	}
	enter := func(p *tab, room, name string) {
		p.do(chromedp.Navigate("about:blank")) // another hash alone loads nothing
		p.enter(f, 1, room, name)
		p.wait("members", name)
	}

	each(rooms, "lobby", func(p *tab) {
		p.media("prefers-reduced-motion", "reduce")
		p.do(chromedp.Navigate(f.url(1, "/")))
		p.wait("fleet-summary", "3 of 3 running")
		p.wait("rooms", "nobody yet")
		p.live("status where,alert join-problem,log activity,log messages,status trouble,alert fleet-problem")
	})
	each(rooms, "no name", func(p *tab) {
		p.do(chromedp.SetValue("#name", " "), chromedp.Evaluate[chromedp.Void](`void document.getElementById("join-button").click()`))
		p.wait("join-problem", "A name, please")
	})
	each(numbers, "numbers", func(p *tab) {
		p.media("prefers-reduced-motion", "reduce")
		p.do(chromedp.Navigate(f.url(1, "/numbers.html")))
		p.wait("state", "3 of 3 nodes answer")
		p.wait("presences", "0")
		p.live("status where")
	})
	each(rooms, "alone", func(p *tab) { enter(p, fmt.Sprint("alone-", p.id), "Ada") })

	long := strings.Repeat("Wolfeschlegelsteinhausen", 3)
	for i := range 14 {
		f.join(t, i%3+1, long, fmt.Sprint("Guest ", i))
	}
	f.join(t, 2, long, "")
	leo := f.join(t, 3, long, long)
	each(rooms, "many", func(p *tab) {
		enter(p, long, fmt.Sprint("Ada ", p.id, " ", long))
		leo.send(long + long)
		p.wait("messages", long)
		p.say("hm")
		leo.send(typingOn)
		p.wait("typing", "is typing")
		p.do(chromedp.Evaluate[chromedp.Void](`void (document.querySelector(".explain").open = true)`))
	})

	f.act(1, 2, "crash")
	f.act(1, 3, "freeze")
	each(rooms, "a node crashed, one frozen", func(p *tab) {
		p.wait("nodes", "crashed")
		p.wait("nodes", "frozen")
		p.wait("activity", "timed out")
	})
	f.act(1, 2, "start")
	f.act(1, 3, "crash")
	f.waitState(1, 2, running)
	server.Kill()
	each(rooms, "no Redis", func(p *tab) { p.wait("where-text", "no Redis") })
	each(numbers, "no Redis", func(p *tab) { p.wait("state", "2 of 3 nodes · no Redis") })
	f.act(1, 2, "crash")
	f.act(1, 1, "crash")
	each(rooms, "no node", func(p *tab) {
		p.wait("fleet-summary", "no node answers")
		p.wait("nodes", "silent")
		p.wait("where-text", "reconnecting")
	})
	each(numbers, "no node", func(p *tab) { p.wait("state", "no node answers") })
}
