//go:build unix

package main

import (
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// The page of numbers draws what happens on all nodes, at a desktop's width and at
// a phone's.
func TestPageOfNumbers(t *testing.T) {
	open := newBrowser(t)
	f := startFleet(t)
	wide, narrow := open(1280, 900, false), open(360, 740, true)
	for _, p := range []*tab{wide, narrow} {
		p.do(chromedp.Navigate(f.url(1, "/numbers.html")))
		p.wait("state", "3 of 3 nodes answer")
	}
	value := func(p *tab, id string) float64 {
		t.Helper()
		v, _ := strconv.ParseFloat(p.eval(fmt.Sprintf("parseFloat(document.getElementById(%q).textContent)", id)), 64)
		return v
	}
	ada := f.join(t, 2, "garden", "Ada")
	seen := make(map[string]bool)
	i := 0
	redistest.Eventually(t, 2*slack, func() error {
		i++
		ada.send(fmt.Sprint("line ", i))
		guest := f.join(t, i%3+1, "garden", fmt.Sprint("guest", i))
		guest.conn.CloseNow()
		for _, id := range []string{"joins", "leaves", "sends", "deliveries", "latency", "presences"} {
			if value(wide, id) > 0 && value(narrow, id) > 0 {
				seen[id] = true
			}
		}
		if len(seen) < 6 {
			return fmt.Errorf("drawn above zero: %v", seen)
		}
		return nil
	})
	for _, p := range []*tab{wide, narrow} {
		redistest.Eventually(t, 2*slack, func() error {
			if p.eval(`document.querySelector(".chart polyline").points.length >= 3`) != "true" {
				return errors.New("no line is drawn")
			}
			return nil
		})
		if over := p.eval("document.documentElement.scrollWidth - innerWidth"); over != "0" {
			t.Errorf("%s px too wide", over)
		}
	}
	wide.do(chromedp.Click("main a"), chromedp.WaitVisible("#join-button")) // back to the lobby
}
