package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// write prints a table's results: each row's sides in lines of their own, each
// with its ratio to rollcall's in brackets.
func (t table) write(w io.Writer, results []result) {
	fmt.Fprintf(w, "\n## %s\n\n| work | side |", t.title)
	for _, m := range t.columns {
		fmt.Fprintf(w, " %s |", m)
	}
	fmt.Fprint(w, " target |\n| --- | --- |", strings.Repeat(" --- |", len(t.columns)+1), "\n")
	for _, r := range results {
		name := r.row.name
		for _, side := range r.row.sides {
			fmt.Fprintf(w, "| %s | %s |", name, side)
			name = ""
			for _, m := range t.columns {
				fmt.Fprintf(w, " %s |", r.cell(side, m))
			}
			verdict := ""
			if side == ours {
				verdict = r.verdict()
			}
			fmt.Fprintf(w, " %s |\n", verdict)
		}
	}
}

func (r result) cell(side string, m metric) string {
	value, ok := r.sides[side][m]
	if !ok {
		return ""
	}
	text := number(value)
	if own, ok := r.sides[ours][m]; ok && side != ours && own > 0 {
		text += fmt.Sprintf(" (x %s)", number(value/own))
	}
	return text
}

// verdict says of each target whether it is met.
func (r result) verdict() string {
	var all []string
	for _, t := range r.row.targets {
		value, ok := r.sides[ours][t.of]
		name := string(t.of)
		if t.against != "" {
			value, ok = r.ratio(t.of, t.against)
			name += " / " + t.against + "'s"
		}
		sign, limit := "<=", t.atMost
		if t.atLeast > 0 {
			sign, limit = ">=", t.atLeast
		}
		text := fmt.Sprintf("%s %s %s", name, sign, number(limit))
		if here, scaled := r.sides[t.scaleBy][t.of]; scaled {
			limit *= here / t.was
			text += fmt.Sprintf(", here %s", number(limit))
		}
		word := "met"
		switch {
		case !ok:
			word = "not measured"
		case t.atLeast > 0 && value < limit, t.atLeast == 0 && value > limit:
			word = "MISSED: " + number(value)
		}
		all = append(all, text+": "+word)
	}
	return strings.Join(all, "; ")
}

// number has three digits that mean something.
func number(f float64) string {
	switch {
	case f >= 100 || f == 0:
		return strconv.FormatFloat(f, 'f', 0, 64)
	case f >= 10:
		return strconv.FormatFloat(f, 'f', 1, 64)
	case f >= 0.1:
		return strconv.FormatFloat(f, 'f', 2, 64)
	}
	return strconv.FormatFloat(f, 'f', 4, 64)
}
