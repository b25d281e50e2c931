package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/rollcall-go/rollcall/presence"
)

// describe returns a change as a line for the terminal.
func describe(c presence.Change) string {
	var what []string
	for _, p := range c.Added {
		what = append(what, "+ "+shown(p.User))
	}
	for _, d := range c.Removed {
		gone := "- " + shown(d.User)
		if reason := why(d.Reason); reason != "" {
			gone += " (" + reason + ")"
		}
		what = append(what, gone)
	}
	if more := len(what) - 6; more > 1 {
		what = append(what[:6], fmt.Sprintf("and %d more", more))
	}
	now := fmt.Sprintf("%d people", c.Counts.Users)
	if c.Counts.Users == 1 {
		now = "1 person"
	}
	if c.Counts.Anonymous > 0 {
		now += fmt.Sprintf(", %d anonymous", c.Counts.Anonymous)
	}
	return fmt.Sprintf("%-10s %-28s %s", plain(c.Room), strings.Join(what, ", "), now)
}

// why returns the reason if it is worth a word: most just leave.
func why(r presence.Reason) string {
	if r == presence.Left || r == presence.Disconnected {
		return ""
	}
	return r.String()
}

func shown(user string) string {
	if user == "" {
		return "anonymous"
	}
	return plain(user)
}

// plain keeps names from controlling the terminal: anybody may take any name.
func plain(name string) string {
	if runes := []rune(name); len(runes) > 40 {
		name = string(runes[:39]) + "…"
	}
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(name)
	}
	return name
}
