package faults_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The table of doc.go has each row, and the tests that it names exist: those of
// TestFaults as rows, the others in the folder that is named before them.
func TestEachFaultHasATest(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^//\t(\d\d) .*$`).FindAllStringSubmatch(string(doc), -1)
	if len(rows) != 32 {
		t.Errorf("%d rows in the table", len(rows))
	}
	for i, r := range rows {
		line, number := r[0], r[1]
		if number != fmt.Sprintf("%02d", i+1) {
			t.Errorf("row %s is in the place of row %02d", number, i+1)
		}
		here := slices.ContainsFunc(allRows(), func(r row) bool { return r.number == number })
		if named := strings.Contains(line, "TestFaults"); named != here {
			t.Errorf("row %s: in TestFaults %v, by the table %v", number, here, named)
		}
		_, tests, _ := strings.Cut(line[len("//\t"):], "  ")
		dir := "internal/faults"
		for _, word := range strings.FieldsFunc(tests, func(r rune) bool { return r == ' ' || r == ',' }) {
			if !strings.HasPrefix(word, "Test") && !strings.HasPrefix(word, "Fuzz") {
				dir = word
			} else if !declared(t, dir, word) {
				t.Errorf("row %s: no %s in %s", number, word, dir)
			}
		}
	}
}

func declared(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(source), "\nfunc "+name+"(")
	})
}
