package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/licenseclassifier/v2/assets"
)

// ourModules are those of this folder, which this test's own program is linked with.
var ourModules = sync.OnceValues(func() ([]module, error) { return readModules(context.Background()) })

var packedOnce map[string][]byte

// packed is a release of which each function is this test's own program.
func packed(t *testing.T) map[string][]byte {
	t.Helper()
	if packedOnce == nil {
		packedOnce = packedAnew(t, "")
	}
	return packedOnce
}

func packedAnew(t *testing.T, address string) map[string][]byte {
	t.Helper()
	modules, err := ourModules()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	folder, out, bootstraps := t.TempDir(), t.TempDir(), []string(nil)
	for _, name := range []string{"arm64/api", "arm64/event", "arm64/window", "amd64/api", "amd64/event", "amd64/window"} {
		bootstrap := filepath.Join(folder, name, "bootstrap")
		if err := errors.Join(os.MkdirAll(filepath.Dir(bootstrap), 0o750), os.Link(self, bootstrap)); err != nil {
			t.Fatal(err)
		}
		bootstraps = append(bootstraps, bootstrap)
	}
	if err := pack(release{source: "../..", version: "1.2.3", address: address, folder: out, modules: modules}, bootstraps, io.Discard); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	entries, err := os.ReadDir(out)
	for _, entry := range entries {
		if err == nil {
			files[entry.Name()], err = os.ReadFile(filepath.Join(out, entry.Name()))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestPack_makesTheSameBytesEachTime(t *testing.T) {
	first, second := packed(t), packedAnew(t, "")

	if len(first) != 19 {
		t.Errorf("got %d files, want six zips and their bills of materials, two templates, checksums, LICENSE, NOTICE, the others' licences, README.md", len(first))
	}
	for name := range first {
		if !bytes.Equal(first[name], second[name]) {
			t.Errorf("%s differs", name)
		}
		if name != "SHA256SUMS" && !strings.Contains(string(first["SHA256SUMS"]), fmt.Sprintf("%x  %s\n", sha256.Sum256(first[name]), name)) {
			t.Errorf("SHA256SUMS does not have the sum of %s", name)
		}
	}
}

func TestPack_zipsAnExecutableBootstrap(t *testing.T) {
	archive := packed(t)["segura-enable-api_1.2.3_linux_arm64.zip"]

	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}

	if len(r.File) != 1 || r.File[0].Name != "bootstrap" || r.File[0].Mode().Perm() != 0o755 {
		t.Errorf("got %+v, want bootstrap alone, with 0755", r.File)
	}
}

func TestPack_namesWhatIsLinkedWithItsLicence(t *testing.T) {
	var got struct {
		Metadata struct {
			Component struct{ Name, Version string }
		}
		Components []struct {
			Name, Version, Purl string
			Licenses            []struct{ License struct{ ID string } }
		}
	}

	if err := json.Unmarshal(packed(t)["segura-enable-api_1.2.3_linux_arm64.cdx.json"], &got); err != nil {
		t.Fatal(err)
	}

	if got.Metadata.Component.Name != "segura-enable-api" || got.Metadata.Component.Version != "1.2.3" {
		t.Errorf("got %+v for the program itself", got.Metadata.Component)
	}
	licences := map[string]string{}
	for _, c := range got.Components {
		if len(c.Licenses) == 1 && c.Purl == "pkg:golang/"+c.Name+"@"+c.Version {
			licences[c.Name] = c.Licenses[0].License.ID
		}
	}
	for name, want := range map[string]string{
		"stdlib": "BSD-3-Clause", "github.com/CycloneDX/cyclonedx-go": "Apache-2.0", "github.com/sergi/go-diff": "MIT",
	} {
		if licences[name] != want {
			t.Errorf("got the licence %q for %s, want %s", licences[name], name, want)
		}
	}
}

func TestPack_passesTheLicencesOn(t *testing.T) {
	got := string(packed(t)["THIRD-PARTY-LICENSES.txt"])

	for _, want := range []string{"stdlib", "Redistributions in binary form must reproduce", "Permission is hereby granted, free of charge", "Apache License"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in %d bytes of licences", want, len(got))
		}
	}
}

func TestPack_refusesAProgramOfOtherModules(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}

	err = pack(release{version: "1.2.3", folder: t.TempDir()}, []string{self}, io.Discard)

	if err == nil || !strings.Contains(err.Error(), "none of the modules") {
		t.Errorf("got %v, want that it is linked with a module that nobody knows", err)
	}
}

func TestListLicences_refusesWhatIsNotListedAsCompatible(t *testing.T) {
	var out bytes.Buffer

	err := listLicences(&out, []module{
		{path: "a.example", version: "v1.0.0", licences: []string{"MIT"}},
		{path: "b.example", version: "v1.0.0", licences: []string{"GPL-3.0"}},
	})

	if err == nil || !strings.Contains(err.Error(), "b.example is under GPL-3.0") || strings.Contains(err.Error(), "a.example") {
		t.Errorf("got %v, want b.example's licence", err)
	}
	if !strings.Contains(out.String(), "a.example") || !strings.Contains(out.String(), "b.example") {
		t.Errorf("got the list %q, want both", out.String())
	}
}

func TestReadModule_refusesWhatHasNoLicence(t *testing.T) {
	known, err := assets.DefaultClassifier()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "LICENSE"), []byte("All rights reserved.\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	_, err = readModule(known, "c.example", "v1.0.0", folder)

	if err == nil || !strings.Contains(err.Error(), "c.example") {
		t.Errorf("got %v, want that c.example has no licence that is known", err)
	}
}
