// Package recipes is the code of docs/recipes.md, to be read and copied. Each recipe is
// a file and a test of it.
package recipes
