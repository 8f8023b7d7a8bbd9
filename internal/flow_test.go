package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/flow.md walks through the code by name. This keeps the names true.
func TestEveryFunctionOfTheFlowIsInTheCode(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/flow.md")
	if err != nil {
		t.Fatal(err)
	}
	declared := declarations(t)
	names := regexp.MustCompile("`([a-z0-9]+\\.[A-Za-z.]+)`").FindAllStringSubmatch(string(text), -1)
	if len(names) < 30 {
		t.Fatalf("only %d names in the flow", len(names))
	}
	for _, m := range names {
		if strings.HasPrefix(m[1], "message.") { // an event
			continue
		}
		if !declared[m[1]] {
			t.Errorf("%s is not in the code", m[1])
		}
	}
}

// declarations are all functions, methods ("pkg.Type.Method") and types below internal.
func declarations(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			declare(all, file.Name.Name, decl)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func declare(all map[string]bool, pkg string, decl ast.Decl) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		name := d.Name.Name
		if d.Recv != nil {
			of := d.Recv.List[0].Type
			if star, ok := of.(*ast.StarExpr); ok {
				of = star.X
			}
			if id, ok := of.(*ast.Ident); ok {
				name = id.Name + "." + name
			}
		}
		all[pkg+"."+name] = true
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if s, ok := spec.(*ast.TypeSpec); ok {
				all[pkg+"."+s.Name.Name] = true
			}
		}
	}
}
