package published

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "record the API as it is")

const (
	root   = "../.."
	golden = "testdata/api.txt"
)

// packages are those that users import. luascripts is not among them: its API is
// not stable.
var packages = []string{
	"groups", "heartbeat", "presence", "presence/presenceprometheus", "presence/presencetest", "prune",
}

func TestTheAPIIsAsRecorded(t *testing.T) {
	var api strings.Builder
	for _, name := range packages {
		fmt.Fprintf(&api, "package %s\n\n", name)
		for _, decl := range declarations(t, filepath.Join(root, name)) {
			fmt.Fprintf(&api, "%s\n\n", decl)
		}
	}
	if *update {
		if err := os.WriteFile(golden, []byte(api.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	recorded, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	is, was := strings.Split(api.String(), "\n"), strings.Split(string(recorded), "\n")
	for i := range max(len(is), len(was)) {
		if i >= len(is) || i >= len(was) || is[i] != was[i] {
			t.Fatalf("%s:%d differs from the API. If that is meant, note it in CHANGELOG.md and run\n\n"+
				"\tgo test ./internal/published -update\n\nrecorded %q\nis       %q", golden, i+1, at(was, i), at(is, i))
		}
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(the end)"
}

// Every package that users can import is recorded, but for luascripts.
func TestAllPackagesAreRecorded(t *testing.T) {
	var found []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		switch name := d.Name(); {
		case path != root && name != ".." && strings.HasPrefix(name, "."), name == "internal", name == "examples", name == "cmd", name == "testdata":
			return filepath.SkipDir
		}
		if sources(t, path) != nil {
			name, err := filepath.Rel(root, path)
			found = append(found, filepath.ToSlash(name))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	found = slices.DeleteFunc(found, func(name string) bool { return name == "luascripts" })
	if !slices.Equal(found, packages) {
		t.Errorf("packages %q, recorded are %q", found, packages)
	}
}

// sources are the files of a package, without its tests.
func sources(t *testing.T, dir string) (files []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		if !strings.HasSuffix(file, "_test.go") {
			files = append(files, file)
		}
	}
	return files
}

// declarations are what a package exports, sorted, without comments and bodies.
func declarations(t *testing.T, dir string) []string {
	t.Helper()
	decls := make(map[string]struct{})
	for _, file := range sources(t, dir) {
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.FileExports(f)
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if !ofExported(d) {
					continue
				}
				d.Body = nil
			case *ast.GenDecl:
				if d.Tok == token.IMPORT {
					continue
				}
			}
			var text bytes.Buffer
			if err := format.Node(&text, fset, d); err != nil {
				t.Fatal(err)
			}
			decls[compact(text.String())] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(decls))
}

// ofExported tells whether a function is no method of a type that nobody can name.
func ofExported(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	typ := f.Recv.List[0].Type
	for {
		switch t := typ.(type) {
		case *ast.StarExpr:
			typ = t.X
		case *ast.IndexExpr:
			typ = t.X
		case *ast.IndexListExpr:
			typ = t.X
		case *ast.Ident:
			return t.IsExported()
		default:
			return false
		}
	}
}

// compact drops the empty lines that comments have left.
func compact(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			lines = append(lines, strings.TrimRight(line, "\n"))
		}
	}
	return strings.Join(lines, "\n")
}
