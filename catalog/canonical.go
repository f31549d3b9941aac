package catalog

import (
	"bytes"
	"crypto/sha1"
	"encoding/json"
	"fmt"
)

// Canonical is the document in the one form that all documents of the same content have: without
// spaces, the fields in order, and without the date from which it is effective, which says
// nothing of where the data is.
func (c *Catalog) Canonical() []byte { return c.canonical }

// Sum names the content of the document.
func (c *Catalog) Sum() string {
	sum := sha1.Sum(c.canonical)
	return fmt.Sprintf("%x", sum)
}

// canonical makes that form of a document that was read already.
func canonical(data []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var document map[string]any
	if err := dec.Decode(&document); err != nil {
		return nil, fmt.Errorf("the canonical form: %w", err)
	}
	delete(document, "effectiveDate")
	delete(document, "effective_date")
	return json.Marshal(document)
}
