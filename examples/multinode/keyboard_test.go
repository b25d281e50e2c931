//go:build unix

package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

func (p *tab) press(keys string) {
	p.t.Helper()
	p.do(chromedp.KeyEvent(keys))
}

// tabTo presses Tab until the focus is on an element.
func (p *tab) tabTo(selector string) {
	p.t.Helper()
	for range 60 {
		p.press(kb.Tab)
		if p.eval("document.activeElement.matches(`"+selector+"`)") == "true" {
			return
		}
	}
	p.t.Fatalf("%s: no Tab comes to %s", p.name, selector)
}

// A visitor without a mouse does all that there is to do.
func TestKeyboardAlone(t *testing.T) {
	open := newBrowser(t)
	f := startFleet(t)
	for i, p := range []*tab{open(1280, 860, false), open(360, 740, false)} {
		part := func(string) {}
		if p.width < 700 {
			part = func(name string) {
				p.tabTo(".tabs [data-tab=" + name + "]")
				p.press(" ")
			}
		}
		focused := func(selector string) {
			t.Helper()
			redistest.Eventually(t, slack, func() error {
				if p.eval("document.activeElement.matches(`"+selector+"`)") != "true" {
					return errors.New("the focus is on " + p.eval("document.activeElement.outerHTML"))
				}
				return nil
			})
		}

		p.do(chromedp.Navigate(f.url(1, "/")))
		p.wait("fleet-summary", "3 of 3 running")
		p.tabTo("#name")
		p.press(kb.Backspace + kb.Enter) // all of it was selected
		focused("#name:invalid")
		p.press("Ada")
		p.tabTo("[name=room]")
		p.press(kb.ArrowRight)
		p.wait("join-button", "Join harbour")
		p.tabTo("#join-button")
		p.press(" ")
		p.wait("where-text", "on node 1")
		focused("#room-name")
		p.tabTo("#line")
		p.press("first" + kb.Enter)
		p.wait("messages", "first")
		p.press("second")
		p.tabTo("#send")
		p.press(" ")
		p.wait("messages", "second")

		part("fleet")
		crashing := i + 2
		p.tabTo(fmt.Sprintf(`[data-node="%d"] .crash`, crashing))
		p.press(" ")
		focused(fmt.Sprintf(`[data-node="%d"] .start`, crashing)) // in place of the button that has gone
		f.waitSaid(fmt.Sprintf("node %d  was killed", crashing))
		p.press(kb.Enter)
		p.wait("fleet-summary", "3 of 3 running")
		open := p.eval("document.querySelector('.explain').open")
		p.tabTo("summary")
		p.press(kb.Enter)
		if now := p.eval("document.querySelector('.explain').open"); now == open {
			t.Errorf("%s: what explains the actions is still open: %s", p.name, now)
		}

		part("talk")
		p.tabTo("#leave")
		p.press(kb.Enter)
		focused("#join-button")
		part("fleet")
		p.tabTo("a[href='numbers.html']")
		p.press(kb.Enter)
		p.wait("state", "3 of 3 nodes answer")
		p.tabTo("main a")
		p.press(kb.Enter)
		p.wait("lobby-title", "Who is here?")
	}
}
