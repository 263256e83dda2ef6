package windowtable

import (
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"segura-enable/internal/window"
)

// maxTold is how many identifiers an event names, so that a full window's item stays
// below DynamoDB's 400 KB; a window has more only if an event opened it.
const maxTold = 100

// tell has the item tell those who read the table's stream what is new of the window:
// its state or its end. The attribute event is on such an item alone, so that a filter
// can pass over the writes between; told is what they know, for the next write. The
// template makes an event of it; docs/events.md has its members.
func tell(i item, one *window.Window) {
	if one.ID == window.GuardID {
		return
	}
	now := window.Now()
	state := one.StateAt(now)
	told := string(state) + " " + one.Until.String()
	i["told"] = text(told)
	if told == one.Told {
		return
	}
	identifiers := make([]string, min(len(one.Leases), maxTold))
	for at := range identifiers {
		identifiers[at] = one.Leases[at].Identifier.String()
	}
	i["event"] = &types.AttributeValueMemberM{Value: item{
		"state":       text(string(state)),
		"from":        text(one.From.String()),
		"until":       text(one.Until.String()),
		"reason":      text(one.Reason), // empty texts stay: what a pipe makes of a path that leads nowhere is no JSON
		"opened_by":   text(one.OpenedBy),
		"closed_by":   text(one.ClosedBy(now)),
		"identifiers": &types.AttributeValueMemberNS{Value: identifiers},
	}}
}
