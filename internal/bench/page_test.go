package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The page says "claim 0.8" where a claim of 0.8 is checked, as often as it is.
func TestThePageStatesTheClaims(t *testing.T) {
	page, err := os.ReadFile("../../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	checked, stated := make(map[string]int), make(map[string]int)
	for _, c := range claims {
		checked[fmt.Sprint(c.atMost)]++
	}
	words := strings.Fields(strings.NewReplacer("claims", "claim", "/", "claim").Replace(string(page)))
	for i, word := range words[:len(words)-1] {
		if word == "claim" {
			if n := strings.Trim(words[i+1], ",;|*"); checked[n] > 0 {
				stated[n]++
			}
		}
	}
	for n, times := range checked {
		if stated[n] != times {
			t.Errorf("claim %s is checked %d times, and stated %d times", n, times, stated[n])
		}
	}
}
