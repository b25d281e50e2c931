package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// printer prints rows, as a table for people or as JSON lines.
type printer struct {
	out    io.Writer
	lines  [][]string    // of a table, since the last flush
	widths []int         // of its columns so far, including flushed lines
	json   *json.Encoder // nil for a table
	err    error         // the first one
}

func newPrinter(out io.Writer, asJSON bool) *printer {
	p := &printer{out: out}
	if asJSON {
		p.json = json.NewEncoder(out)
	}
	return p
}

// row is a line: its cells for people, or all of it as JSON.
type row interface{ cells() []any }

// head prints the names of the columns, for a table only.
func (p *printer) head(columns ...any) {
	if p.json == nil {
		p.cells(columns)
	}
}

func (p *printer) row(r row) {
	if p.json == nil {
		p.cells(r.cells())
	} else {
		p.note(p.json.Encode(r))
	}
}

// line prints a sentence for people.
func (p *printer) line(format string, args ...any) {
	if p.json == nil {
		p.lines = append(p.lines, []string{fmt.Sprintf(format, args...)})
	}
}

func (p *printer) cells(cells []any) {
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = fmt.Sprint(c)
		if i == len(p.widths) {
			p.widths = append(p.widths, 0)
		}
		if i < len(cells)-1 { // the last cell may be long
			p.widths[i] = max(p.widths[i], utf8.RuneCountInString(texts[i]))
		}
	}
	p.lines = append(p.lines, texts)
}

// flush writes what was printed since the last time. Columns are as wide as the widest
// cell so far.
func (p *printer) flush() error {
	for _, texts := range p.lines {
		var b strings.Builder
		for i, text := range texts {
			b.WriteString(text)
			if i < len(texts)-1 {
				b.WriteString(strings.Repeat(" ", p.widths[i]+2-utf8.RuneCountInString(text)))
			}
		}
		_, err := fmt.Fprintln(p.out, strings.TrimRight(b.String(), " "))
		p.note(err)
	}
	p.lines = nil
	return p.err
}

func (p *printer) note(err error) {
	if p.err == nil {
		p.err = err
	}
}

// quoted returns a name for people. A name may hold anything, including control
// characters of a terminal.
func quoted(name string) string { return fmt.Sprintf("%q", name) }

// moment returns a time for people, "-" if it is unknown.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.DateTime)
}
