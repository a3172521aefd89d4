//go:build browser

package browser_test

import (
	"fmt"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// accessible holds a document to what a screen reader needs, and to what it must not have.
func accessible(t *testing.T, dom string) {
	t.Helper()
	said := verdict.FindStringSubmatch(dom)
	if len(said) == 0 || title.FindString(dom) != "<title>"+said[1]+" – OpenAI exporter</title>" {
		t.Errorf("the title %s does not say the verdict %q", title.FindString(dom), said)
	}
	for _, want := range []string{`<html lang="en">`, `<main id="status">`, `href="#status"`, `<h1>OpenAI exporter</h1>`, `<nav aria-label="Pages">`} {
		if !strings.Contains(dom, want) {
			t.Errorf("the document lacks %s", want)
		}
	}
	headers := header.FindAllString(dom, -1)
	if len(headers) == 0 {
		t.Error("the tables have no headers")
	}
	for _, h := range headers {
		if !scoped.MatchString(h) {
			t.Errorf("%s does not say what it is the header of", h)
		}
	}
	if tables := strings.Count(dom, "<table"); tables == 0 || strings.Count(dom, "<caption") != tables {
		t.Errorf("%d tables have %d captions", tables, strings.Count(dom, "<caption"))
	}
	for _, never := range []string{"<script", "javascript:", adminKey, wrongKey} {
		if strings.Contains(dom, never) {
			t.Errorf("the document has %s", never)
		}
	}
	for _, m := range charts.FindAllStringSubmatch(dom, -1) {
		if m[1] == "" || !strings.Contains(dom, `id="`+m[1]+`"`) || !strings.Contains(dom, ">Spend per day in numbers<") {
			t.Errorf("a reader who does not see the chart is told nothing of it: %s", m[0])
		}
	}
	if found := handlers.FindString(dom); found != "" {
		t.Errorf("the document needs scripts: %s", found)
	}
}

// skeleton is a document's tags, without the numbers that change from moment to moment and the chart that shows them.
func skeleton(dom string) []string {
	var tags []string
	for _, t := range tag.FindAllString(drawing.ReplaceAllLiteralString(dom, ""), -1) {
		tags = append(tags, digits.ReplaceAllLiteralString(t, "0"))
	}
	return tags
}

// colors are what a name stands for in the style sheet, in the light and in the dark.
func colors(t *testing.T, name string) (light, dark color.RGBA) {
	t.Helper()
	css, err := os.ReadFile(filepath.Join(root, "internal/server/page.css"))
	if err != nil {
		t.Fatal(err)
	}
	var found []color.RGBA
	for _, m := range regexp.MustCompile(`--`+name+`: #([0-9a-f]{6});`).FindAllSubmatch(css, -1) {
		c := color.RGBA{A: 255}
		if _, err := fmt.Sscanf(string(m[1]), "%2x%2x%2x", &c.R, &c.G, &c.B); err != nil {
			t.Fatal(err)
		}
		found = append(found, c)
	}
	if len(found) != 2 {
		t.Fatalf("the style sheet has %v for --%s, want a light and a dark one", found, name)
	}
	return found[0], found[1]
}

// painted holds a picture to having some of a colour.
func painted(t *testing.T, picture image.Image, want color.RGBA) {
	t.Helper()
	b := picture.Bounds()
	n := 0
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if color.RGBAModel.Convert(picture.At(x, y)) == want {
				n++
			}
		}
	}
	if n < 500 {
		t.Errorf("%d pixels have the colour %v", n, want)
	}
}

// mostly holds a picture to the style sheet's background, which no page has whose style sheet was refused, at its edge
// and in a good part of the rest. Something else has to be there too.
func mostly(t *testing.T, picture image.Image, want color.RGBA) {
	t.Helper()
	b := picture.Bounds()
	same := 0
	for y := b.Min.Y; y < b.Max.Y; y++ {
		if got := color.RGBAModel.Convert(picture.At(b.Min.X, y)); got != want {
			t.Fatalf("the background is %v, want %v", got, want)
		}
		for x := b.Min.X; x < b.Max.X; x++ {
			if color.RGBAModel.Convert(picture.At(x, y)) == want {
				same++
			}
		}
	}
	if share := float64(same) / float64(b.Dx()*b.Dy()); share < 0.1 || share > 0.9 {
		t.Errorf("%.0f %% of the page is background", 100*share)
	}
}

// differing is the share of pixels in which two pictures differ.
func differing(a, b image.Image) float64 {
	if a.Bounds() != b.Bounds() {
		return 1
	}
	n := 0
	r := a.Bounds()
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if color.RGBAModel.Convert(a.At(x, y)) != color.RGBAModel.Convert(b.At(x, y)) {
				n++
			}
		}
	}
	return float64(n) / float64(r.Dx()*r.Dy())
}
