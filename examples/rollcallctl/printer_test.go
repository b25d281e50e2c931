package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// What watch prints comes line by line, and stays a table.
func TestColumnsStayWhereTheyAre(t *testing.T) {
	var out bytes.Buffer
	p := newPrinter(&out, false)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p.head("AT", "EVENT", "USER", "CHANNEL", "PRESENCES", "USERS", "REASON")
	p.row(eventRow{at, "updated", "zoë and her long name", "n1!1", "", 41, 31})
	for _, e := range []eventRow{
		{at, "resync", "", "", "", 42, 32},
		{at, "left", "bob", "n1!2", "disconnected", 43, 33},
	} {
		if err := p.flush(); err != nil {
			t.Fatal(err)
		}
		p.row(e)
	}
	p.line("%s", strings.Repeat("a sentence is no column ", 3))
	p.row(eventRow{at, "here", "", "n1!3", "", 44, 34})
	if err := p.flush(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	column := func(line int, text string) int { return len([]rune(lines[line][:strings.Index(lines[line], text)])) }
	for line, text := range map[int]string{1: "41", 2: "42", 3: "43", 5: "44"} {
		if column(line, text) != column(0, "PRESENCES") {
			t.Errorf("%s is in another column:\n%s", text, &out)
		}
	}
}
