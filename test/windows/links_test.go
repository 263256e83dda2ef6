package windows

import (
	"os/exec"
	"strings"
	"testing"
)

func TestFunctions_onlyThatForWindowsLinksDynamoDB(t *testing.T) {
	for function, want := range map[string]bool{"api": false, "event": false, "window": true} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "../../functions/"+function).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(out), "/service/dynamodb"); got != want {
			t.Errorf("functions/%s links DynamoDB: %t, want %t", function, got, want)
		}
	}
}
