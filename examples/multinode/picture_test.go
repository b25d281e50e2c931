//go:build unix

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// picturesVariable, when it is set, is the folder for the pictures of the docs.
const picturesVariable = "ROLLCALL_PICTURES"

// picture writes the page to a file, in the 256 colours that most of it has: what
// the eye sees is the same, in a third of the bytes.
func (p *tab) picture(path string) {
	p.t.Helper()
	shot, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	full, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		p.t.Fatal(err)
	}
	pixels := make(map[color.Color]int)
	bounds := full.Bounds()
	for i := range bounds.Dx() * bounds.Dy() {
		pixels[full.At(i%bounds.Dx(), i/bounds.Dx())]++
	}
	palette := slices.SortedFunc(maps.Keys(pixels), func(a, b color.Color) int { return cmp.Compare(pixels[b], pixels[a]) })
	small := image.NewPaletted(bounds, palette[:min(len(palette), 256)])
	for i := range bounds.Dx() * bounds.Dy() {
		x, y := i%bounds.Dx(), i/bounds.Dx()
		small.Set(x, y, full.At(x, y))
	}
	var file bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&file, small); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, file.Bytes(), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// The picture for the README: a room over three nodes, one of which has just
// been killed, while someone types.
func TestPicture(t *testing.T) {
	open := newBrowser(t)
	args := []string{}
	folder := os.Getenv(picturesVariable)
	if folder == "" {
		folder = t.TempDir()
	} else {
		args = append(args, "-port", "8081") // as in the README's words
	}
	f := startFleet(t, args...)
	ada, leo := open(1280, 860, false), open(1280, 860, false)
	ada.enter(f, 1, "garden", "Ada")
	leo.enter(f, 3, "garden", "Leo")
	visitors := map[string]*client{"Mira": nil, "Otis": nil, "": nil}
	for i, name := range slices.Sorted(maps.Keys(visitors)) {
		visitors[name] = f.join(t, i%2+1, "garden", name)
	}
	juno := f.join(t, 2, "garden", "Juno")
	ada.wait("members", "Juno")
	for _, line := range []struct{ user, text string }{
		{"Mira", "Good morning! I am on node 2, I think."},
		{"Otis", "And I on node 1. Yet here we all are."},
		{"", "Just looking in."},
		{"Mira", "Ada, shall we crash a node and see?"},
	} {
		visitors[line.user].send(line.text)
		ada.wait("messages", line.text)
	}
	juno.conn.CloseNow()
	ada.wait("activity", "Juno disconnected")
	ada.say("Node 3, then. Hold on, Leo.")
	leo.wait("messages", "Hold on")
	ada.do(chromedp.Click(`[data-node="3"] .crash`))
	ada.wait("nodes", "swept in")
	ada.wait("members", "2 connections")
	leo.wait("where-text", "on node")
	leo.waitNot("where-text", "node 3")
	leo.say("I was on node 3. That was quick.")
	ada.wait("messages", "quick")
	ada.do(chromedp.Evaluate[chromedp.Void]("document.activeElement.blur()"))
	redistest.Eventually(t, slack, func() error { // colours of those who just came
		if running := ada.eval("document.getAnimations().length"); running != "0" {
			return fmt.Errorf("%s animations", running)
		}
		return nil
	})
	visitors["Otis"].send(typingOn)
	ada.wait("typing", "Otis is typing")
	ada.picture(filepath.Join(folder, "multinode.png"))
}

// The picture for the docs: two minutes of many visitors, in which a node is killed
// and started again. Where no picture is wanted, some seconds of that will do.
func TestPictureOfNumbers(t *testing.T) {
	open := newBrowser(t)
	folder, samples := os.Getenv(picturesVariable), 120
	if folder == "" {
		folder, samples = t.TempDir(), 6
	}
	f := startFleet(t, "-bots", "60", "-max-age", "5s")
	page := open(1180, 640, false)
	page.do(chromedp.Navigate(f.url(1, "/numbers.html")))
	until := func(want int) {
		t.Helper()
		redistest.Eventually(t, 4*time.Minute, func() error {
			if drawn, _ := strconv.Atoi(page.eval(`document.querySelector("polyline").points.length`)); drawn < want {
				return fmt.Errorf("%d of %d samples", drawn, want)
			}
			return nil
		})
	}
	until(samples / 2)
	f.act(2, 1, "crash") // the page's own: it asks the others
	page.wait("state", "2 of 3 nodes answer")
	until(samples * 2 / 3)
	f.act(2, 1, "start")
	page.wait("state", "3 of 3 nodes answer")
	until(samples)
	page.picture(filepath.Join(folder, "numbers.png"))
}
