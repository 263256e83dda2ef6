package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// release is what is packed.
type release struct {
	source  string // the repository's root
	address string // where it can be read, or empty
	version string
	folder  string
	modules []module
}

// pack writes the files of a release into its folder, over those of the same names.
func pack(r release, bootstraps []string, out io.Writer) error {
	files, err := r.functions(bootstraps)
	if err != nil {
		return err
	}
	if err := r.templates(files); err != nil {
		return err
	}
	// The template's metadata names two of them.
	for _, name := range []string{"LICENSE", "NOTICE", "README.md"} {
		if files[name], err = os.ReadFile(filepath.Join(r.source, name)); err != nil { //nolint:gosec // the source that is released
			return err
		}
	}
	if r.address != "" {
		files["README.md"] = relative.ReplaceAll(files["README.md"], []byte("]("+strings.TrimSuffix(r.address, "/")+"/$1"))
	}
	files["THIRD-PARTY-LICENSES.txt"] = notices(r.modules)
	files["SHA256SUMS"] = checksums(files)
	if err := os.MkdirAll(r.folder, 0o755); err != nil { //nolint:gosec // what is released is for everyone to read
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(r.folder, name), files[name], 0o644); err != nil { //nolint:gosec // likewise
			return err
		}
		_, _ = fmt.Fprintf(out, "%9d  %s\n", len(files[name]), filepath.Join(r.folder, name))
	}
	return nil
}

// relative is the beginning of a link to a file beside a page.
var relative = regexp.MustCompile(`\]\(([\w.]+[/)#])`)

// functions returns a zip and a bill of materials for each function.
func (r release) functions(bootstraps []string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, path := range bootstraps {
		function := filepath.Base(filepath.Dir(path))
		architecture := filepath.Base(filepath.Dir(filepath.Dir(path)))
		name := zipName(function, r.version, architecture)
		program, err := os.ReadFile(path) //nolint:gosec // named by the one who runs this
		if err != nil {
			return nil, err
		}
		if files[name], err = zipped(program); err != nil {
			return nil, err
		}
		if files[strings.TrimSuffix(name, ".zip")+".cdx.json"], err = billOfMaterials(r, function, program); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return files, nil
}

// templates adds a template for each architecture to the files, of which it takes
// the zips.
func (r release) templates(files map[string][]byte) error {
	for architecture := range processors {
		template, err := flatTemplate(r.source, r.version, r.address, architecture)
		if err != nil {
			return err
		}
		for _, program := range programs {
			if zip := zipName(program, r.version, architecture); files[zip] == nil {
				return fmt.Errorf("the template needs %s, which is not among the functions", zip)
			}
		}
		files["template-"+architecture+".yaml"] = template
	}
	return nil
}

// zipped returns a zip that Lambda takes: the program under the name of bootstrap,
// executable. It has no time of its own, or two builds would differ.
func zipped(program []byte) ([]byte, error) {
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	header := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
	header.SetMode(0o755)
	file, err := w.CreateHeader(header)
	if err == nil {
		_, err = file.Write(program)
	}
	if err == nil {
		err = w.Close()
	}
	return archive.Bytes(), err
}

// checksums is in the format of sha256sum.
func checksums(files map[string][]byte) []byte {
	var sums bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(files[name]), name)
	}
	return sums.Bytes()
}

// notices holds the texts that the modules' licences ask to be passed on.
func notices(modules []module) []byte {
	var all bytes.Buffer
	all.WriteString("segura-enable is compiled with the modules below, whose licences follow.\n")
	for _, m := range modules {
		for _, t := range m.texts {
			fmt.Fprintf(&all, "\n%s\n%s %s, %s (%s)\n%[1]s\n\n%[6]s\n", strings.Repeat("=", 80),
				m.path, m.version, t.name, strings.Join(m.licences, ", "), strings.TrimSpace(t.content))
		}
	}
	return all.Bytes()
}
