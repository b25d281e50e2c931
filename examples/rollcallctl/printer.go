package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// printer prints rows, as a table for people or as JSON lines.
type printer struct {
	table *tabwriter.Writer
	json  *json.Encoder // nil: a table
	err   error         // the first
}

func newPrinter(out io.Writer, asJSON bool) *printer {
	p := &printer{table: tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	if asJSON {
		p.json = json.NewEncoder(out)
	}
	return p
}

// row is a line: its cells for people, or the whole of it as JSON.
type row interface{ cells() []any }

// head prints the names of the columns, of a table alone.
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
		_, err := fmt.Fprintf(p.table, format+"\n", args...)
		p.note(err)
	}
}

func (p *printer) cells(cells []any) {
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = fmt.Sprint(c)
	}
	_, err := fmt.Fprintln(p.table, strings.TrimRight(strings.Join(texts, "\t"), "\t"))
	p.note(err)
}

// flush shows what was printed so far: a table is as wide as its widest row.
func (p *printer) flush() error {
	if p.json == nil {
		p.note(p.table.Flush())
	}
	return p.err
}

func (p *printer) note(err error) {
	if p.err == nil {
		p.err = err
	}
}

// quoted is a name for people: it may hold anything, control characters of a
// terminal among them.
func quoted(name string) string { return fmt.Sprintf("%q", name) }

// moment is a time for people, "-" where it is not known.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.DateTime)
}
