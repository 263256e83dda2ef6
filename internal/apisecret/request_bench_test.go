package apisecret_test

import (
	"fmt"
	"strings"
	"testing"

	"segura-enable/internal/apisecret"
)

func BenchmarkForm_Read(b *testing.B) {
	form := apisecret.Form{
		Fields: []apisecret.Field{
			apisecret.FieldIdentifier, apisecret.FieldIdentifiers, apisecret.FieldReason,
			apisecret.FieldAction, apisecret.FieldCheck,
		},
		MaxIdentifiers: 10_000,
	}
	var list strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&list, ",%d", 1_000_001+i)
	}
	for _, row := range []struct{ name, document string }{
		{"one", `{"identifier": 5, "reason": "CHG0012345"}`},
		{"10000", `{"identifiers": [` + list.String()[1:] + `]}`},
	} {
		b.Run(row.name, func(b *testing.B) {
			document := []byte(row.document)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := form.Read(document); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
