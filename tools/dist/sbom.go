package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
)

// billOfMaterials returns a CycloneDX document with the modules that the Go linker
// noted in the program, and the standard library. It has no time of its own, and
// its number is that of the program, or two builds would differ.
func billOfMaterials(r release, function string, program []byte) ([]byte, error) {
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(program)
	self := cyclonedx.Component{
		BOMRef: "segura-enable-" + function, Type: cyclonedx.ComponentTypeApplication, Name: "segura-enable-" + function, Version: r.version,
		Hashes:   &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}},
		Licenses: licencesOf([]string{"Apache-2.0"}),
	}
	library := debug.Module{Path: standardLibrary, Version: strings.TrimPrefix(info.GoVersion, "go")}
	components, names := []cyclonedx.Component{}, []string{}
	for _, linked := range append([]*debug.Module{&library}, info.Deps...) {
		component, err := componentOf(linked, r.modules)
		if err != nil {
			return nil, err
		}
		components, names = append(components, component), append(names, component.BOMRef)
	}
	bom := cyclonedx.NewBOM()
	bom.SerialNumber = serial(sum)
	bom.Metadata = &cyclonedx.Metadata{Component: &self}
	bom.Components = &components
	bom.Dependencies = &[]cyclonedx.Dependency{{Ref: self.BOMRef, Dependencies: &names}}
	var document bytes.Buffer
	err = cyclonedx.NewBOMEncoder(&document, cyclonedx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cyclonedx.SpecVersion1_6)
	return document.Bytes(), err
}

// serial makes a UUID of a checksum (version 8, RFC 9562: of one's own making).
func serial(sum [sha256.Size]byte) string {
	id := slices.Clone(sum[:16])
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:16])
}

// componentOf describes a linked module. Its hash is the one in go.sum: SHA-256 of
// the module's files, as Go counts them.
func componentOf(linked *debug.Module, modules []module) (cyclonedx.Component, error) {
	at := slices.IndexFunc(modules, func(m module) bool { return m.path == linked.Path })
	if at < 0 || modules[at].version != linked.Version {
		return cyclonedx.Component{}, fmt.Errorf("%s %s is linked, but is none of the modules of this folder", linked.Path, linked.Version)
	}
	url := "pkg:golang/" + linked.Path + "@" + linked.Version
	component := cyclonedx.Component{
		BOMRef: url, PackageURL: url, Type: cyclonedx.ComponentTypeLibrary,
		Name: linked.Path, Version: linked.Version, Licenses: licencesOf(modules[at].licences),
	}
	if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(linked.Sum, "h1:")); err == nil && len(sum) == sha256.Size {
		component.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: hex.EncodeToString(sum)}}
	}
	return component, nil
}

func licencesOf(names []string) *cyclonedx.Licenses {
	var choices cyclonedx.Licenses
	for _, name := range names {
		choices = append(choices, cyclonedx.LicenseChoice{License: &cyclonedx.License{ID: name}})
	}
	return &choices
}
